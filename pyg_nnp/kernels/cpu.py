"""The operators on the CPU, compiled by numba.

Each thread writes what it alone owns, atoms, pairs, or a table of its own, so results do not depend on timing.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from numba import prange
from torch import Tensor

from pyg_nnp.kernels.reference import Wanted

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


def _num_threads() -> int:
    return min(torch.get_num_threads(), _MOST_THREADS)


def _run(kernel: _Kernel, *arguments: Any) -> None:
    """Call a kernel with tensors as arrays, on as many threads as torch uses."""
    numba.set_num_threads(_num_threads())
    kernel(*[a.detach().contiguous().numpy() if isinstance(a, Tensor) else a for a in arguments])


def _sort_edges(target: Any, start: Any, order: Any) -> None:
    for e in range(len(target)):
        start[target[e] + 1] += 1
    for i in range(len(start) - 1):
        start[i + 1] += start[i]
    free = start[:-1].copy()
    for e in range(len(target)):
        i = target[e]
        order[free[i]] = e
        free[i] += 1


def _filter(weights: Any, p: int, table: Any, row: int, W: Any) -> None:
    """Write the filter of a pair into W."""
    F = len(W)
    if weights.shape[1] == 6:
        # all rows in one pass
        w0, w1, w2 = weights[p, 0], weights[p, 1], weights[p, 2]
        w3, w4, w5 = weights[p, 3], weights[p, 4], weights[p, 5]
        t0, t1, t2 = table[row], table[row + 1], table[row + 2]
        t3, t4, t5 = table[row + 3], table[row + 4], table[row + 5]
        for f in range(F):
            W[f] = w0 * t0[f] + w1 * t1[f] + w2 * t2[f] + w3 * t3[f] + w4 * t4[f] + w5 * t5[f]
    else:
        W[:] = 0
        for c in range(weights.shape[1]):
            w, t = weights[p, c], table[row + c]
            for f in range(F):
                W[f] += w * t[f]


def _slopes(out: Any, p: int, table: Any, row: int, v: Any, add: bool) -> None:
    """Write, or add, the products of v with the rows of a pair."""
    F, zero = len(v), v.dtype.type(0)
    if out.shape[1] == 6:
        t0, t1, t2 = table[row], table[row + 1], table[row + 2]
        t3, t4, t5 = table[row + 3], table[row + 4], table[row + 5]
        s0, s1, s2, s3, s4, s5 = zero, zero, zero, zero, zero, zero
        for f in range(F):
            s0 += t0[f] * v[f]
            s1 += t1[f] * v[f]
            s2 += t2[f] * v[f]
            s3 += t3[f] * v[f]
            s4 += t4[f] * v[f]
            s5 += t5[f] * v[f]
        if not add:
            out[p] = 0
        out[p, 0] += s0
        out[p, 1] += s1
        out[p, 2] += s2
        out[p, 3] += s3
        out[p, 4] += s4
        out[p, 5] += s5
    else:
        for c in range(out.shape[1]):
            total, t = zero, table[row + c]
            for f in range(F):
                total += t[f] * v[f]
            out[p, c] = out[p, c] + total if add else total


# put into the loops that call them, which are twice as fast so
_FILTER, _SLOPES = numba.njit(inline="always")(_filter), numba.njit(inline="always")(_slopes)


def _aggregate(
    weights: Any, rows: Any, table: Any, x: Any, source: Any, start: Any, order: Any, out: Any, threads: int
) -> None:
    # the same as of_g of U in _derivatives, an eighth faster
    num_pairs = len(weights)
    num_atoms, F = x.shape
    for thread in prange(threads):
        low, high = thread * num_atoms // threads, (thread + 1) * num_atoms // threads
        W = np.empty(F, x.dtype)
        out[low:high] = 0
        for i in range(low, high):
            out_i, x_i = out[i], x[i]
            for k in range(start[i], start[i + 1]):
                j = source[order[k]]
                # a pair within this thread's atoms is done once, for both of them
                both = low <= j < high
                if both and j < i:
                    continue
                p = order[k] % num_pairs
                _FILTER(weights, p, table, rows[p], W)
                x_j = x[j]
                for f in range(F):
                    out_i[f] += W[f] * x_j[f]
                if both:
                    out_j = out[j]
                    for f in range(F):
                        out_j[f] += W[f] * x_i[f]


def _derivatives(
    b: Any, c: Any, rows: Any, T: Any, V: Any, x: Any, g: Any, U: Any, source: Any, start: Any, order: Any,
    of_b: Any, of_T: Any, of_x: Any, of_g: Any, threads: int,
) -> None:  # fmt: skip
    num_pairs, C = b.shape
    num_atoms, F = g.shape
    has_c, has_V, has_U = len(c) > 0, len(V) > 0, len(U) > 0
    for thread in prange(threads):
        low, high = thread * num_atoms // threads, (thread + 1) * num_atoms // threads
        W_b, W_c, v_x, v_U = np.zeros(F, g.dtype), np.zeros(F, g.dtype), np.zeros(F, g.dtype), np.zeros(F, g.dtype)
        if len(of_T) > 0:
            of_T[thread] = 0
        if len(of_x) > 0:
            of_x[low:high] = 0
        if len(of_g) > 0:
            of_g[low:high] = 0
        for i in range(low, high):
            for k in range(start[i], start[i + 1]):
                j = source[order[k]]
                both = low <= j < high
                if both and j < i:
                    continue
                p = order[k] % num_pairs
                row = rows[p]
                g_i, g_j = g[i], g[j]
                if has_c:
                    _FILTER(c, p, T, row, W_c)
                    if has_V:
                        _FILTER(b, p, V, row, W_b)
                        for f in range(F):
                            W_c[f] += W_b[f]
                elif has_V:
                    _FILTER(b, p, V, row, W_c)
                if has_U and len(of_g) > 0:
                    _FILTER(b, p, T, row, W_b)
                if (has_c or has_V) and len(of_x) > 0:
                    of_x_i, of_x_j = of_x[i], of_x[j]
                    for f in range(F):
                        of_x_i[f] += W_c[f] * g_j[f]
                    if both:
                        for f in range(F):
                            of_x_j[f] += W_c[f] * g_i[f]
                if len(of_g) > 0:
                    of_g_i, of_g_j = of_g[i], of_g[j]
                    if has_c or has_V:
                        x_i, x_j = x[i], x[j]
                        for f in range(F):
                            of_g_i[f] += W_c[f] * x_j[f]
                        if both:
                            for f in range(F):
                                of_g_j[f] += W_c[f] * x_i[f]
                    if has_U:
                        U_i, U_j = U[i], U[j]
                        for f in range(F):
                            of_g_i[f] += W_b[f] * U_j[f]
                        if both:
                            for f in range(F):
                                of_g_j[f] += W_b[f] * U_i[f]
                # what belongs to the pair is done by one of the two threads that come here
                if (len(of_T) == 0 and len(of_b) == 0) or not (both or i < j):
                    continue
                if has_c or has_V:
                    x_i, x_j = x[i], x[j]
                    for f in range(F):
                        v_x[f] = x_i[f] * g_j[f] + x_j[f] * g_i[f]
                if has_U:
                    U_i, U_j = U[i], U[j]
                    for f in range(F):
                        v_U[f] = g_i[f] * U_j[f] + g_j[f] * U_i[f]
                if len(of_T) > 0:
                    for n in range(C):
                        t, b_n = of_T[thread, row + n], b[p, n]
                        if has_c:
                            c_n = c[p, n]
                            for f in range(F):
                                t[f] += c_n * v_x[f] + b_n * v_U[f]
                        else:
                            for f in range(F):
                                t[f] += b_n * v_U[f]
                if len(of_b) > 0:
                    _SLOPES(of_b, p, T, row, v_U, False)
                    if has_V:
                        _SLOPES(of_b, p, V, row, v_x, True)


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


def _coulomb(spooky: bool) -> tuple[_Kernel, _Kernel, _Kernel]:
    """Return the Coulomb kernels of one damping; with a choice left in their loops, they are not vectorised."""

    def potential(q: Any, R: Any, start: Any, molecule: Any, constants: Any, out: Any) -> None:
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

    def gradient(g: Any, q: Any, R: Any, start: Any, molecule: Any, constants: Any, out: Any) -> None:
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

    def gradient_backward(
        u: Any, g: Any, q: Any, R: Any, start: Any, molecule: Any, constants: Any,
        of_g: Any, of_q: Any, of_R: Any,
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

    return _compiled(potential), _compiled(gradient), _compiled(gradient_backward)


_SORT_EDGES, _AGGREGATE = _compiled(_sort_edges, parallel=False), _compiled(_aggregate)
_DERIVATIVES = _compiled(_derivatives)
_COULOMB = {"PhysNet": _coulomb(spooky=False), "SpookyNet": _coulomb(spooky=True)}


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
    _run(_AGGREGATE, weights, rows, table, x, edge_index[0], start, order, out, _num_threads())
    return out


def derivatives(
    b: Tensor,
    c: Tensor,
    rows: Tensor,
    T: Tensor,
    V: Tensor,
    x: Tensor,
    g: Tensor,
    U: Tensor,
    edge_index: Tensor,
    start: Tensor,
    order: Tensor,
    wanted: Wanted,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.derivatives`."""
    num_rows = len(T) if wanted[1] else 0
    of_b = torch.empty_like(b) if wanted[0] else b.new_empty(0, b.shape[1])
    # a table for each thread, which are added up afterwards
    of_T = T.new_empty(_num_threads() if wanted[1] else 0, num_rows, T.shape[1])
    of_x, of_g = (g.new_empty(g.shape if wanted[n] else (0, g.shape[1])) for n in (2, 3))
    _run(_DERIVATIVES, b, c, rows, T, V, x, g, U, edge_index[0], start, order, of_b, of_T, of_x, of_g, _num_threads())
    return of_b, of_T.sum(dim=0) if wanted[1] else T.new_empty(0, T.shape[1]), of_x, of_g


def _interaction(
    q: Tensor, Ra: Tensor, start: Tensor, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> tuple[Tensor, ...]:
    """Return what the Coulomb kernels take: coordinates one after the other, the molecule of each atom, numbers."""
    molecule = torch.repeat_interleave(start.diff(), output_size=len(q))
    return Ra.detach().T, start, molecule, q.new_tensor([cutoff_sr, shielding, cutoff_lr])


def coulomb_potential(
    q: Tensor, Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.coulomb_potential`."""
    out = torch.empty_like(q)
    _run(_COULOMB[flavor][0], q, *_interaction(q, Ra, start, cutoff_sr, shielding, cutoff_lr), out)
    return out


def coulomb_gradient(
    g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.coulomb_gradient`."""
    out = torch.empty_like(Ra, memory_format=torch.contiguous_format)
    _run(_COULOMB[flavor][1], g, q, *_interaction(q, Ra, start, cutoff_sr, shielding, cutoff_lr), out)
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
    interaction = _interaction(q, Ra, start, cutoff_sr, shielding, cutoff_lr)
    _run(_COULOMB[flavor][2], u.detach().T, g, q, *interaction, of_g, of_q, of_R)
    return of_g, of_q, of_R
