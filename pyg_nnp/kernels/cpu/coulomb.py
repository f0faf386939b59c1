"""The Coulomb potential of all charges of a molecule."""

from typing import Any

import numba
import numpy as np
import torch
from numba import prange
from torch import Tensor

from pyg_nnp.kernels.cpu.compiler import Kernel, compiled, run, wide_vectors
from pyg_nnp.kernels.reference import Damping


def _chi(r: Any, spooky: bool, cutoff_sr: Any, shielding: Any, cutoff_lr: Any) -> tuple[Any, Any, Any]:
    """Return chi(r) and its first two derivatives; see :mod:`pyg_nnp.functional.coulomb` for the formulas."""
    T = type(r)
    zero, half, one, two, three, sixty = T(0), T(0.5), T(1), T(2), T(3), T(60)
    if spooky:
        width = half * cutoff_sr
        x = (r - half * width) / width
        if x <= zero:
            f, f1, f2 = one, zero, zero
        elif x >= one:
            f, f1, f2 = zero, zero, zero
        else:
            a, b = one / x, one / (one - x)
            # beyond this e^u is 0 or infinite in single precision, and the switch flat to any precision
            u = min(max(a - b, T(-80)), T(80))
            f = one / (one + np.exp(-u))
            u1, u2 = -(a * a + b * b), two * (a * a * a - b * b * b)
            slope = f * (one - f) if abs(u) < T(80) else zero
            f1, f2 = slope * u1 / width, slope * ((one - two * f) * u1 * u1 + u2) / (width * width)
    else:
        scale = two / cutoff_sr
        x = min(r * scale, one)
        y = one - x
        f = one + x * x * x * (x * (T(15) - T(6) * x) - T(10))
        f1 = -T(30) * x * x * y * y * scale
        f2 = -sixty * x * y * (y - x) * scale * scale
    a, b = one / r, one / np.sqrt(r * r + shielding * shielding)
    aa, bb = a * a, b * b
    chi = f * b + (one - f) * a
    chi1 = f1 * (b - a) - f * r * b * bb - (one - f) * aa
    chi2 = (
        f2 * (b - a) + two * f1 * (aa - r * b * bb) + f * b * bb * (three * r * r * bb - one) + two * (one - f) * a * aa
    )
    if cutoff_lr > zero:
        inside = r < cutoff_lr
        c = one / cutoff_lr
        chi = chi + r * c * c - two * c if inside else zero
        chi1 = chi1 + c * c if inside else zero
        chi2 = chi2 if inside else zero
    return chi, chi1, chi2


_CHI = numba.njit(inline="always")(_chi)


# kernels of one damping each: with a choice left in their loops, they are not vectorised
def _potential(spooky: bool) -> Kernel:
    def potential(q: Any, R: Any, start: Any, molecule: Any, constants: Any, out: Any) -> None:
        cutoff_sr, shielding, cutoff_lr = constants
        for i in prange(len(q)):
            wide_vectors()
            x, y, z = R[0, i], R[1, i], R[2, i]
            total = q[i] - q[i]
            # all before and all after the atom itself
            for part in range(2):
                low = start[molecule[i]] if part == 0 else i + 1
                high = i if part == 0 else start[molecule[i] + 1]
                for j in range(low, high):
                    dx, dy, dz = x - R[0, j], y - R[1, j], z - R[2, j]
                    r = np.sqrt(dx * dx + dy * dy + dz * dz)
                    total += q[j] * _CHI(r, spooky, cutoff_sr, shielding, cutoff_lr)[0]
            out[i] = total

    return compiled(potential)


def _gradient(spooky: bool) -> Kernel:
    def gradient(g: Any, q: Any, R: Any, start: Any, molecule: Any, constants: Any, out: Any) -> None:
        cutoff_sr, shielding, cutoff_lr = constants
        for i in prange(len(q)):
            wide_vectors()
            x, y, z, g_i, q_i = R[0, i], R[1, i], R[2, i], g[i], q[i]
            fx = fy = fz = q_i - q_i
            for part in range(2):
                low = start[molecule[i]] if part == 0 else i + 1
                high = i if part == 0 else start[molecule[i] + 1]
                for j in range(low, high):
                    dx, dy, dz = x - R[0, j], y - R[1, j], z - R[2, j]
                    r = np.sqrt(dx * dx + dy * dy + dz * dz)
                    s = (g_i * q[j] + g[j] * q_i) * _CHI(r, spooky, cutoff_sr, shielding, cutoff_lr)[1] / r
                    fx += s * dx
                    fy += s * dy
                    fz += s * dz
            out[i, 0], out[i, 1], out[i, 2] = fx, fy, fz

    return compiled(gradient)


def _gradient_backward(spooky: bool) -> Kernel:
    def gradient_backward(
        u: Any, g: Any, q: Any, R: Any, start: Any, molecule: Any, constants: Any,
        of_g: Any, of_q: Any, of_R: Any,
    ) -> None:  # fmt: skip
        cutoff_sr, shielding, cutoff_lr = constants
        curvature = len(of_R) > 0
        for i in prange(len(q)):
            wide_vectors()
            x, y, z, g_i, q_i = R[0, i], R[1, i], R[2, i], g[i], q[i]
            ux, uy, uz = u[0, i], u[1, i], u[2, i]
            sum_g = sum_q = hx = hy = hz = q_i - q_i
            for part in range(2):
                low = start[molecule[i]] if part == 0 else i + 1
                high = i if part == 0 else start[molecule[i] + 1]
                for j in range(low, high):
                    dx, dy, dz = x - R[0, j], y - R[1, j], z - R[2, j]
                    vx, vy, vz = ux - u[0, j], uy - u[1, j], uz - u[2, j]
                    r = np.sqrt(dx * dx + dy * dy + dz * dz)
                    _, chi1, chi2 = _CHI(r, spooky, cutoff_sr, shielding, cutoff_lr)
                    along = (dx * vx + dy * vy + dz * vz) / r
                    sum_g += chi1 * q[j] * along
                    sum_q += chi1 * g[j] * along
                    if curvature:
                        both = (g_i * q[j] + g[j] * q_i) / r
                        radial, across = both * (chi2 - chi1 / r) * along, both * chi1
                        hx += radial * dx + across * vx
                        hy += radial * dy + across * vy
                        hz += radial * dz + across * vz
            of_g[i], of_q[i] = sum_g, sum_q
            if curvature:
                of_R[i, 0], of_R[i, 1], of_R[i, 2] = hx, hy, hz

    return compiled(gradient_backward)


_POTENTIAL, _GRADIENT, _GRADIENT_BACKWARD = (
    {"PhysNet": make(False), "SpookyNet": make(True)} for make in (_potential, _gradient, _gradient_backward)
)


def _interaction(q: Tensor, Ra: Tensor, start: Tensor, damping: Damping) -> tuple[Tensor, ...]:
    """Return what the Coulomb kernels take: coordinates one after the other, the molecule of each atom, numbers."""
    molecule = torch.repeat_interleave(start.diff(), output_size=len(q))  # (A,)
    coordinates = Ra.detach().T  # (3, A)
    return coordinates, start, molecule, q.new_tensor(damping[1:])


def coulomb_potential(q: Tensor, Ra: Tensor, start: Tensor, damping: Damping) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.coulomb_potential`."""
    out = torch.empty_like(q)
    run(_POTENTIAL[damping[0]], q, *_interaction(q, Ra, start, damping), out)
    return out


def coulomb_gradient(g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, damping: Damping) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.coulomb_gradient`."""
    out = torch.empty_like(Ra, memory_format=torch.contiguous_format)
    run(_GRADIENT[damping[0]], g, q, *_interaction(q, Ra, start, damping), out)
    return out


def coulomb_gradient_backward(
    u: Tensor, g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, damping: Damping, curvature: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.coulomb_gradient_backward`."""
    of_g, of_q = torch.empty_like(g), torch.empty_like(q)
    of_R = q.new_empty(len(q) if curvature else 0, 3)  # (A, 3)
    interaction = _interaction(q, Ra, start, damping)
    run(_GRADIENT_BACKWARD[damping[0]], u.detach().T, g, q, *interaction, of_g, of_q, of_R)
    return of_g, of_q, of_R
