"""The Coulomb potential of all charges of a molecule."""

# kernels have types when they are compiled
# mypy: allow-untyped-defs, allow-incomplete-defs

from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from pyg_nnp.kernels.gpu.compiler import jit, run
from pyg_nnp.kernels.reference import Damping


@jit
def _chi(r, FLAVOR: tl.constexpr, CUTOFF_SR: tl.constexpr, SHIELDING: tl.constexpr, CUTOFF_LR: tl.constexpr):
    """Return chi(r) and its first two derivatives; see :mod:`pyg_nnp.functional.coulomb` for the formulas."""
    # named without tl.constexpr, a constant would be a number in single precision
    if FLAVOR == "SpookyNet":
        width: tl.constexpr = 0.5 * CUTOFF_SR
        place = r / width - 0.5
        between = (place > 0) & (place < 1)
        x = tl.where(between, place, 0.5)
        a, b = 1 / x, 1 / (1 - x)
        # beyond this e^u is 0 or infinite in single precision, and the switch flat to any precision
        u = tl.minimum(tl.maximum(a - b, -80.0), 80.0)
        s = 1 / (1 + tl.exp(-u))
        slope = tl.where(between & (tl.abs(u) < 80), s * (1 - s), 0.0)
        u1, u2 = -(a * a + b * b), 2 * (a * a * a - b * b * b)
        f = tl.where(between, s, tl.where(place < 0.5, 1.0, 0.0))
        f1, f2 = slope * u1 / width, slope * ((1 - 2 * f) * u1 * u1 + u2) / (width * width)
    else:
        scale: tl.constexpr = 2 / CUTOFF_SR
        x = tl.minimum(r * scale, 1.0)
        y = 1 - x
        f = 1 + x * x * x * (x * (15 - 6 * x) - 10)
        f1 = -30 * x * x * y * y * scale
        f2 = -60 * x * y * (y - x) * scale * scale
    a, b = 1 / r, 1 / tl.sqrt(r * r + SHIELDING * SHIELDING)
    aa, bb = a * a, b * b
    chi = f * b + (1 - f) * a
    chi1 = f1 * (b - a) - f * r * b * bb - (1 - f) * aa
    chi2 = f2 * (b - a) + 2 * f1 * (aa - r * b * bb) + f * b * bb * (3 * r * r * bb - 1) + 2 * (1 - f) * a * aa
    if CUTOFF_LR > 0:
        inside = r < CUTOFF_LR
        c: tl.constexpr = 1 / CUTOFF_LR
        chi = tl.where(inside, chi + r * c * c - 2 * c, 0.0)
        chi1 = tl.where(inside, chi1 + c * c, 0.0)
        chi2 = tl.where(inside, chi2, 0.0)
    return chi, chi1, chi2


@jit
def _difference(R, i, j, valid):
    """Return R_i - R_j, of one atom i and many j."""
    x = tl.load(R + 3 * i) - tl.load(R + 3 * j, mask=valid, other=0)
    y = tl.load(R + 3 * i + 1) - tl.load(R + 3 * j + 1, mask=valid, other=0)
    z = tl.load(R + 3 * i + 2) - tl.load(R + 3 * j + 2, mask=valid, other=0)
    return x, y, z


@jit
def _distance(dx, dy, dz, valid):
    # what is not valid is left out of the sums, but should not be divided by zero before
    return tl.sqrt(tl.where(valid, dx * dx + dy * dy + dz * dz, 1.0))


@jit
def _coulomb_potential(
    q, R, start, molecule, out, COUNT: tl.constexpr,
    FLAVOR: tl.constexpr, CUTOFF_SR: tl.constexpr, SHIELDING: tl.constexpr, CUTOFF_LR: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64)
    m = tl.load(molecule + i)
    total = tl.zeros((COUNT,), q.dtype.element_ty)
    end = tl.load(start + m + 1)
    for first in range(tl.load(start + m), end, COUNT):
        j = first + tl.arange(0, COUNT)
        valid = (j < end) & (j != i)
        dx, dy, dz = _difference(R, i, j, valid)
        chi, _, _ = _chi(_distance(dx, dy, dz, valid), FLAVOR, CUTOFF_SR, SHIELDING, CUTOFF_LR)
        total += tl.load(q + j, mask=valid, other=0) * chi
    tl.store(out + i, tl.sum(total))


@jit
def _coulomb_gradient(
    g, q, R, start, molecule, out, COUNT: tl.constexpr,
    FLAVOR: tl.constexpr, CUTOFF_SR: tl.constexpr, SHIELDING: tl.constexpr, CUTOFF_LR: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64)
    m = tl.load(molecule + i)
    g_i, q_i = tl.load(g + i), tl.load(q + i)
    zero = tl.zeros((COUNT,), q.dtype.element_ty)
    fx, fy, fz = zero, zero, zero
    end = tl.load(start + m + 1)
    for first in range(tl.load(start + m), end, COUNT):
        j = first + tl.arange(0, COUNT)
        valid = (j < end) & (j != i)
        dx, dy, dz = _difference(R, i, j, valid)
        r = _distance(dx, dy, dz, valid)
        _, chi1, _ = _chi(r, FLAVOR, CUTOFF_SR, SHIELDING, CUTOFF_LR)
        g_j, q_j = tl.load(g + j, mask=valid, other=0), tl.load(q + j, mask=valid, other=0)
        s = (g_i * q_j + g_j * q_i) * chi1 / r
        fx, fy, fz = fx + s * dx, fy + s * dy, fz + s * dz
    tl.store(out + 3 * i, tl.sum(fx))
    tl.store(out + 3 * i + 1, tl.sum(fy))
    tl.store(out + 3 * i + 2, tl.sum(fz))


@jit
def _coulomb_gradient_backward(
    u, g, q, R, start, molecule, of_g, of_q, of_R,
    CURVATURE: tl.constexpr, COUNT: tl.constexpr,
    FLAVOR: tl.constexpr, CUTOFF_SR: tl.constexpr, SHIELDING: tl.constexpr, CUTOFF_LR: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64)
    m = tl.load(molecule + i)
    g_i, q_i = tl.load(g + i), tl.load(q + i)
    zero = tl.zeros((COUNT,), q.dtype.element_ty)
    sum_g, sum_q, hx, hy, hz = zero, zero, zero, zero, zero
    end = tl.load(start + m + 1)
    for first in range(tl.load(start + m), end, COUNT):
        j = first + tl.arange(0, COUNT)
        valid = (j < end) & (j != i)
        dx, dy, dz = _difference(R, i, j, valid)
        vx, vy, vz = _difference(u, i, j, valid)
        r = _distance(dx, dy, dz, valid)
        _, chi1, chi2 = _chi(r, FLAVOR, CUTOFF_SR, SHIELDING, CUTOFF_LR)
        g_j, q_j = tl.load(g + j, mask=valid, other=0), tl.load(q + j, mask=valid, other=0)
        along = (dx * vx + dy * vy + dz * vz) / r
        sum_g += chi1 * q_j * along
        sum_q += chi1 * g_j * along
        if CURVATURE:
            both = (g_i * q_j + g_j * q_i) / r
            radial, across = both * (chi2 - chi1 / r) * along, both * chi1
            hx, hy, hz = hx + radial * dx + across * vx, hy + radial * dy + across * vy, hz + radial * dz + across * vz
    tl.store(of_g + i, tl.sum(sum_g))
    tl.store(of_q + i, tl.sum(sum_q))
    if CURVATURE:
        tl.store(of_R + 3 * i, tl.sum(hx))
        tl.store(of_R + 3 * i + 1, tl.sum(hy))
        tl.store(of_R + 3 * i + 2, tl.sum(hz))


def _interaction(Ra: Tensor, start: Tensor, damping: Damping) -> tuple[list[Tensor], dict[str, Any]]:
    """Return what all Coulomb kernels take: positions, molecules and the molecule of each atom; constants."""
    molecule = torch.repeat_interleave(start.diff(), output_size=len(Ra))  # (A,)
    # as arguments of other kinds these numbers would be in single precision
    constants = dict(zip(("FLAVOR", "CUTOFF_SR", "SHIELDING", "CUTOFF_LR"), damping, strict=True))
    return [Ra, start, molecule], {"COUNT": 32, "num_warps": 1, **constants}


def coulomb_potential(q: Tensor, Ra: Tensor, start: Tensor, damping: Damping) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.coulomb_potential`."""
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    tensors, constants = _interaction(Ra, start, damping)
    run(_coulomb_potential, (len(q),), q, *tensors, out, **constants)
    return out


def coulomb_gradient(g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, damping: Damping) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.coulomb_gradient`."""
    out = torch.empty_like(Ra, memory_format=torch.contiguous_format)
    tensors, constants = _interaction(Ra, start, damping)
    run(_coulomb_gradient, (len(q),), g, q, *tensors, out, **constants)
    return out


def coulomb_gradient_backward(
    u: Tensor, g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, damping: Damping, curvature: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.coulomb_gradient_backward`."""
    of_g, of_q = torch.empty_like(g), torch.empty_like(q)
    of_R = q.new_empty(len(q) if curvature else 0, 3)  # (A, 3)
    tensors, constants = _interaction(Ra, start, damping)
    arguments = u, g, q, *tensors, of_g, of_q, of_R
    run(_coulomb_gradient_backward, (len(q),), *arguments, CURVATURE=curvature, **constants)
    return of_g, of_q, of_R
