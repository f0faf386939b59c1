"""The operators on the CPU, compiled by numba.

Each thread writes what it alone owns, atoms, pairs, or columns of the table, so results do not depend on timing.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from numba import prange
from torch import Tensor

# sums may be reordered, but NaN stays NaN, so that a diverged training is noticed
_FAST_MATH = {"contract", "reassoc", "nsz", "arcp"}
_Kernel = Callable[..., Any]


def _compiled(function: _Kernel, parallel: bool = True) -> _Kernel:
    options: dict[str, Any] = {"parallel": parallel, "fastmath": _FAST_MATH, "error_model": "numpy"}
    try:
        kernel: _Kernel = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder that numba could keep compiled code in
        kernel = numba.njit(**options)(function)
    return kernel


def _start_threads() -> int:
    """Let numba start its threads, which it does but once, and return how many there are at most."""
    threads = torch.get_num_threads()
    most = numba.get_num_threads()
    # they are OpenMP's, and numba has just told torch's OpenMP how many there are to be
    torch.set_num_threads(threads)
    return most


_MOST_THREADS = _start_threads()


def _run(kernel: _Kernel, *arguments: Any) -> None:
    """Call a kernel with tensors as arrays, on as many threads as torch uses."""
    threads = min(torch.get_num_threads(), _MOST_THREADS)
    numba.set_num_threads(threads)
    kernel(*[a.detach().contiguous().numpy() if isinstance(a, Tensor) else a for a in arguments], threads)


def _sort_edges(target: Any, start: Any, order: Any, threads: int) -> None:
    for e in range(len(target)):
        start[target[e] + 1] += 1
    for i in range(len(start) - 1):
        start[i + 1] += start[i]
    free = start[:-1].copy()
    for e in range(len(target)):
        i = target[e]
        order[free[i]] = e
        free[i] += 1


def _aggregate(
    weights: Any, rows: Any, table: Any, x: Any, source: Any, start: Any, order: Any, out: Any, threads: int
) -> None:
    num_pairs, C = weights.shape
    num_atoms, F = x.shape
    for thread in prange(threads):
        low, high = thread * num_atoms // threads, (thread + 1) * num_atoms // threads
        W = np.empty(F, x.dtype)
        for i in range(low, high):
            out[i] = 0
        for i in range(low, high):
            out_i, x_i = out[i], x[i]
            for k in range(start[i], start[i + 1]):
                j = source[order[k]]
                # a pair within this thread's atoms is done once, for both of them
                both = low <= j < high
                if both and j < i:
                    continue
                p = order[k] % num_pairs
                row = rows[p]
                if C == 6:
                    w0, w1, w2, w3, w4, w5 = (
                        weights[p, 0], weights[p, 1], weights[p, 2], weights[p, 3], weights[p, 4], weights[p, 5],
                    )  # fmt: skip
                    t0, t1, t2, t3, t4, t5 = (
                        table[row], table[row + 1], table[row + 2], table[row + 3], table[row + 4], table[row + 5],
                    )  # fmt: skip
                    for f in range(F):
                        W[f] = w0 * t0[f] + w1 * t1[f] + w2 * t2[f] + w3 * t3[f] + w4 * t4[f] + w5 * t5[f]
                else:
                    W[:] = 0
                    for c in range(C):
                        w, t = weights[p, c], table[row + c]
                        for f in range(F):
                            W[f] += w * t[f]
                x_j = x[j]
                for f in range(F):
                    out_i[f] += W[f] * x_j[f]
                if both:
                    out_j = out[j]
                    for f in range(F):
                        out_j[f] += W[f] * x_i[f]


def _weights_gradient(rows: Any, table: Any, x: Any, y: Any, source: Any, target: Any, out: Any, threads: int) -> None:
    num_pairs, C = out.shape
    F = x.shape[1]
    for thread in prange(threads):
        product = np.empty(F, x.dtype)
        for p in range(thread * num_pairs // threads, (thread + 1) * num_pairs // threads):
            x_i, x_j, y_i, y_j = x[target[p]], x[source[p]], y[target[p]], y[source[p]]
            row = rows[p]
            for f in range(F):
                product[f] = x_i[f] * y_j[f] + x_j[f] * y_i[f]
            for c in range(C):
                t = table[row + c]
                total = x.dtype.type(0)
                for f in range(F):
                    total += t[f] * product[f]
                out[p, c] = total


def _table_gradient(weights: Any, rows: Any, x: Any, y: Any, source: Any, target: Any, out: Any, threads: int) -> None:
    num_pairs, C = weights.shape
    F = x.shape[1]
    for thread in prange(threads):
        low, high = thread * F // threads, (thread + 1) * F // threads
        product = np.empty(high - low, x.dtype)
        out[:, low:high] = 0
        for p in range(num_pairs):
            x_i, x_j = x[target[p], low:high], x[source[p], low:high]
            y_i, y_j = y[target[p], low:high], y[source[p], low:high]
            for f in range(high - low):
                product[f] = x_i[f] * y_j[f] + x_j[f] * y_i[f]
            for c in range(C):
                w, row = weights[p, c], out[rows[p] + c, low:high]
                for f in range(high - low):
                    row[f] += w * product[f]


def _chi(
    r: Any, spooky: bool, cutoff_sr: Any, shielding: Any, cutoff_lr: Any
) -> tuple[Any, Any, Any]:  # pragma: no cover
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


_CHI = _compiled(_chi, parallel=False)


def _coulomb_potential(
    q: Any, R: Any, start: Any, molecule: Any, spooky: bool, constants: Any, out: Any, threads: int
) -> None:
    cutoff_sr, shielding, cutoff_lr = constants
    for i in prange(len(q)):
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


def _coulomb_gradient(
    g: Any, q: Any, R: Any, start: Any, molecule: Any, spooky: bool, constants: Any, out: Any, threads: int
) -> None:
    cutoff_sr, shielding, cutoff_lr = constants
    for i in prange(len(q)):
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


def _coulomb_gradient_backward(
    u: Any, g: Any, q: Any, R: Any, start: Any, molecule: Any, spooky: bool, constants: Any,
    of_g: Any, of_q: Any, of_R: Any, threads: int,
) -> None:  # fmt: skip
    cutoff_sr, shielding, cutoff_lr = constants
    curvature = len(of_R) > 0
    for i in prange(len(q)):
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


_SORT_EDGES, _AGGREGATE = _compiled(_sort_edges, parallel=False), _compiled(_aggregate)
_WEIGHTS_GRADIENT, _TABLE_GRADIENT = _compiled(_weights_gradient), _compiled(_table_gradient)
_POTENTIAL, _GRADIENT = _compiled(_coulomb_potential), _compiled(_coulomb_gradient)
_GRADIENT_BACKWARD = _compiled(_coulomb_gradient_backward)


def sort_edges(edge_index: Tensor, num_atoms: int) -> tuple[Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.sort_edges`."""
    start, order = edge_index.new_zeros(num_atoms + 1), torch.empty_like(edge_index[1])
    _run(_SORT_EDGES, edge_index[1], start, order)
    return start, order


def aggregate(
    weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, edge_index: Tensor, start: Tensor, order: Tensor
) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.aggregate`."""
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    _run(_AGGREGATE, weights, rows, table, x, edge_index[0], start, order, out)
    return out


def weights_gradient(rows: Tensor, table: Tensor, x: Tensor, y: Tensor, edge_index: Tensor, num_weights: int) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.weights_gradient`."""
    out = x.new_empty(len(rows), num_weights)
    _run(_WEIGHTS_GRADIENT, rows, table, x, y, edge_index[0], edge_index[1], out)
    return out


def table_gradient(weights: Tensor, rows: Tensor, x: Tensor, y: Tensor, edge_index: Tensor, num_rows: int) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.table_gradient`."""
    out = x.new_empty(num_rows, x.shape[1])
    _run(_TABLE_GRADIENT, weights, rows, x, y, edge_index[0], edge_index[1], out)
    return out


def _interaction(
    q: Tensor, Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> tuple[Any, ...]:
    """Return what the Coulomb kernels take: coordinates one after the other, the molecule of each atom, numbers."""
    molecule = torch.repeat_interleave(start.diff(), output_size=len(q))
    return Ra.detach().T, start, molecule, flavor == "SpookyNet", q.new_tensor([cutoff_sr, shielding, cutoff_lr])


def coulomb_potential(
    q: Tensor, Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.coulomb_potential`."""
    out = torch.empty_like(q)
    _run(_POTENTIAL, q, *_interaction(q, Ra, start, flavor, cutoff_sr, shielding, cutoff_lr), out)
    return out


def coulomb_gradient(
    g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.coulomb_gradient`."""
    out = torch.empty_like(Ra, memory_format=torch.contiguous_format)
    _run(_GRADIENT, g, q, *_interaction(q, Ra, start, flavor, cutoff_sr, shielding, cutoff_lr), out)
    return out


def coulomb_gradient_backward(
    u: Tensor,
    g: Tensor,
    q: Tensor,
    Ra: Tensor,
    start: Tensor,
    flavor: str,
    cutoff_sr: float,
    shielding: float,
    cutoff_lr: float,
    curvature: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.coulomb_gradient_backward`."""
    of_g, of_q, of_R = torch.empty_like(g), torch.empty_like(q), q.new_empty(len(q) if curvature else 0, 3)
    interaction = _interaction(q, Ra, start, flavor, cutoff_sr, shielding, cutoff_lr)
    _run(_GRADIENT_BACKWARD, u.detach().T, g, q, *interaction, of_g, of_q, of_R)
    return of_g, of_q, of_R
