"""The compiled loops over edges: filters of pairs, their sums over neighbors and the derivatives of these."""

from typing import Any

import numba
import numpy as np
from numba import prange

from pyg_nnp.kernels.cpu.compiler import compiled, part_of_thread, wide_vectors


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


def _weight(b: Any, p: int, n: int) -> Any:
    """Return what row n of a pair is multiplied with, in its difference and in that of the next row."""
    return b[p, n] - b[p, n + 1] if n + 1 < b.shape[1] else b[p, n]


WEIGHT = numba.njit(_weight)


def _filter(weights: Any, p: int, table: Any, row: int, W: Any) -> None:
    """Write the filter of a pair into W."""
    F = len(W)
    if weights.shape[1] == 6:
        # all rows in one pass
        w0, w1, w2 = WEIGHT(weights, p, 0), WEIGHT(weights, p, 1), WEIGHT(weights, p, 2)
        w3, w4, w5 = WEIGHT(weights, p, 3), WEIGHT(weights, p, 4), WEIGHT(weights, p, 5)
        t0, t1, t2 = table[row], table[row + 1], table[row + 2]
        t3, t4, t5 = table[row + 3], table[row + 4], table[row + 5]
        for f in range(F):
            W[f] = w0 * t0[f] + w1 * t1[f] + w2 * t2[f] + w3 * t3[f] + w4 * t4[f] + w5 * t5[f]
    else:
        W[:] = 0
        for c in range(weights.shape[1]):
            w, t = WEIGHT(weights, p, c), table[row + c]
            for f in range(F):
                W[f] += w * t[f]


def _slopes(out: Any, p: int, table: Any, row: int, v: Any, add: bool) -> None:
    """Write, or add, the products of v with the first row of a pair, and with the differences of the others."""
    F, zero = len(v), v.dtype.type(0)
    if out.shape[1] == 6:
        t0, t1, t2 = table[row], table[row + 1], table[row + 2]
        t3, t4, t5 = table[row + 3], table[row + 4], table[row + 5]
        s0, s1, s2, s3, s4, s5 = zero, zero, zero, zero, zero, zero
        for f in range(F):
            s0 += t0[f] * v[f]
            s1 += (t1[f] - t0[f]) * v[f]
            s2 += (t2[f] - t1[f]) * v[f]
            s3 += (t3[f] - t2[f]) * v[f]
            s4 += (t4[f] - t3[f]) * v[f]
            s5 += (t5[f] - t4[f]) * v[f]
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
            total, t, before = zero, table[row + c], table[row + max(c - 1, 0)]
            is_difference = v.dtype.type(c > 0)
            for f in range(F):
                total += (t[f] - is_difference * before[f]) * v[f]
            out[p, c] = out[p, c] + total if add else total


def _add(W: Any, x: Any, out: Any, i: int, j: int, both: bool) -> None:
    """Add what the atoms of a pair give each other: to the first, or to both."""
    x_i, x_j, out_i, out_j = x[i], x[j], out[i], out[j]
    for f in range(len(W)):
        out_i[f] += W[f] * x_j[f]
    if both:
        for f in range(len(W)):
            out_j[f] += W[f] * x_i[f]


def _products(x: Any, y: Any, i: int, j: int, v: Any) -> None:
    if len(y) > 0:
        x_i, x_j, y_i, y_j = x[i], x[j], y[i], y[j]
        for f in range(len(v)):
            v[f] = x_i[f] * y_j[f] + x_j[f] * y_i[f]


def _to_rows(b: Any, c: Any, p: int, v_U: Any, v_x: Any, table: Any, row: int) -> None:
    for n in range(b.shape[1]):
        t, b_n = table[row + n], WEIGHT(b, p, n)
        if len(c) > 0:
            c_n = WEIGHT(c, p, n)
            for f in range(len(t)):
                t[f] += c_n * v_x[f] + b_n * v_U[f]
        else:
            for f in range(len(t)):
                t[f] += b_n * v_U[f]


# put into the loops that call them, which are twice as fast so
_FILTER, _SLOPES = numba.njit(inline="always")(_filter), numba.njit(inline="always")(_slopes)
_ADD, _PRODUCTS = numba.njit(inline="always")(_add), numba.njit(inline="always")(_products)
_TO_ROWS = numba.njit(inline="always")(_to_rows)


def _sum_of_filters(b: Any, c: Any, p: int, T: Any, V: Any, row: int, W: Any, term: Any) -> None:
    """Write into W the filters of c and T, and of b and V, as far as there are such."""
    if len(c) > 0:
        _FILTER(c, p, T, row, W)
        if len(V) > 0:
            _FILTER(b, p, V, row, term)
            for f in range(len(W)):
                W[f] += term[f]
    elif len(V) > 0:
        _FILTER(b, p, V, row, W)


_SUM = numba.njit(inline="always")(_sum_of_filters)


def _aggregate(
    weights: Any, rows: Any, table: Any, x: Any, source: Any, start: Any, order: Any, out: Any, threads: int
) -> None:
    # the same as of_g of U in _derivatives, an eighth faster
    num_pairs = len(weights)
    num_atoms, F = x.shape
    for thread in prange(threads):
        wide_vectors()
        low, high = part_of_thread(thread, threads, num_atoms)
        W = np.empty(F, x.dtype)
        out[low:high] = 0
        for i in range(low, high):
            out_i, x_i = out[i], x[i]
            for k in range(start[i], start[i + 1]):
                e = order[k]
                j = source[e]
                # a pair within this thread's atoms is done once, for both of them, which may be an atom and its image
                both = low <= j < high
                if both and (j < i or (j == i and e >= num_pairs)):
                    continue
                p = e if e < num_pairs else e - num_pairs
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
    num_pairs, (num_atoms, F) = len(b), g.shape
    has_x, has_U = len(c) > 0 or len(V) > 0, len(U) > 0
    for thread in prange(threads):
        wide_vectors()
        low, high = part_of_thread(thread, threads, num_atoms)
        W_b, W_c, v_x, v_U = np.zeros(F, g.dtype), np.zeros(F, g.dtype), np.zeros(F, g.dtype), np.zeros(F, g.dtype)
        # of what is not asked for there is nothing
        of_T[thread : thread + 1], of_x[low:high], of_g[low:high] = 0, 0, 0
        for i in range(low, high):
            for k in range(start[i], start[i + 1]):
                e = order[k]
                j = source[e]
                both = low <= j < high
                if both and (j < i or (j == i and e >= num_pairs)):
                    continue
                p = e if e < num_pairs else e - num_pairs
                row = rows[p]
                _SUM(b, c, p, T, V, row, W_c, W_b)
                if has_x and len(of_x) > 0:
                    _ADD(W_c, g, of_x, i, j, both)
                if has_x and len(of_g) > 0:
                    _ADD(W_c, x, of_g, i, j, both)
                if has_U and len(of_g) > 0:
                    _FILTER(b, p, T, row, W_b)
                    _ADD(W_b, U, of_g, i, j, both)
                # what belongs to the pair is done by one of the two threads that come here
                if (len(of_T) == 0 and len(of_b) == 0) or not (both or i < j):
                    continue
                _PRODUCTS(g, x, i, j, v_x)
                _PRODUCTS(g, U, i, j, v_U)
                if len(of_T) > 0:
                    _TO_ROWS(b, c, p, v_U, v_x, of_T[thread], row)
                if len(of_b) > 0:
                    _SLOPES(of_b, p, T, row, v_U, False)
                    if len(V) > 0:
                        _SLOPES(of_b, p, V, row, v_x, True)


def _first_derivatives(
    b: Any, rows: Any, T: Any, x: Any, y: Any, source: Any, start: Any, order: Any, of_b: Any, of_x: Any, threads: int
) -> None:
    """Do what _derivatives does with U alone, in one pass over six rows: each evaluation of forces comes here."""
    num_pairs = len(b)
    num_atoms, F = x.shape
    for thread in prange(threads):
        wide_vectors()
        low, high = part_of_thread(thread, threads, num_atoms)
        elsewhere = np.zeros(F, x.dtype)
        of_x[low:high] = 0
        for i in range(low, high):
            x_i, y_i, of_i = x[i], y[i], of_x[i]
            for k in range(start[i], start[i + 1]):
                e = order[k]
                j = source[e]
                both = low <= j < high
                if both and (j < i or (j == i and e >= num_pairs)):
                    continue
                p = e if e < num_pairs else e - num_pairs
                row = rows[p]
                x_j, y_j, of_j = x[j], y[j], of_x[j] if both else elsewhere
                w0, w1, w2 = WEIGHT(b, p, 0), WEIGHT(b, p, 1), WEIGHT(b, p, 2)
                w3, w4, w5 = WEIGHT(b, p, 3), WEIGHT(b, p, 4), WEIGHT(b, p, 5)
                t0, t1, t2, t3, t4, t5 = T[row], T[row + 1], T[row + 2], T[row + 3], T[row + 4], T[row + 5]
                s0 = s1 = s2 = s3 = s4 = s5 = x.dtype.type(0)
                for f in range(F):
                    a0, a1, a2, a3, a4, a5 = t0[f], t1[f], t2[f], t3[f], t4[f], t5[f]
                    W = w0 * a0 + w1 * a1 + w2 * a2 + w3 * a3 + w4 * a4 + w5 * a5
                    of_i[f] += W * y_j[f]
                    of_j[f] += W * y_i[f]
                    v = x_i[f] * y_j[f] + x_j[f] * y_i[f]
                    s0 += a0 * v
                    s1 += (a1 - a0) * v
                    s2 += (a2 - a1) * v
                    s3 += (a3 - a2) * v
                    s4 += (a4 - a3) * v
                    s5 += (a5 - a4) * v
                if both or i < j:
                    of_b[p, 0], of_b[p, 1], of_b[p, 2] = s0, s1, s2
                    of_b[p, 3], of_b[p, 4], of_b[p, 5] = s3, s4, s5


SORT_EDGES, AGGREGATE = compiled(_sort_edges, parallel=False), compiled(_aggregate)
DERIVATIVES, FIRST_DERIVATIVES = compiled(_derivatives), compiled(_first_derivatives)
