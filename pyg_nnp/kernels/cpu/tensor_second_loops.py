"""The compiled loop over edges of the second derivative of messages of scalars, vectors and matrices.

It is the derivative of a change, that of the messages times g where weights b, tables T, harmonics y and features a, v
and t change by db, dT (which may be absent), dy, da, dv and dt. For what is in which array see
:mod:`pyg_nnp.kernels.cpu.tensor_loops`; further rows of S are the changes of filters, and of what they are multiplied
with.
"""

from typing import Any

import numba
import numpy as np
from numba import prange

from pyg_nnp.kernels.cpu.compiler import compiled, part_of_thread, separate_arrays
from pyg_nnp.kernels.cpu.small_tensors import ROWS3, ROWS5
from pyg_nnp.kernels.cpu.tensor_features import (
    CLEAR,
    DOTS,
    FILTERS,
    MULTIPLY3,
    MULTIPLY5,
    PRODUCTS,
    ROW,
    SPLINE,
    TO_TABLE,
    TO_WEIGHTS,
    WRITE,
)

# after the filters and what they are multiplied with: their changes, sums of messages, sums of a, v and t
_CHANGES, _OTHERS, _MESSAGES, _SUMS = 6, 9, 12, 21
_ROWS = _SUMS + 11


def _receive_change(S: Any, y: Any, a: Any, dy: Any, da: Any, p: int, s: Any, j: int) -> None:
    """Add the change of filters times harmonics times a of j."""
    a0, a1, b0, b1 = a[j, 0], a[j, 1], da[j, 0], da[j, 1]
    h0, h1, h2 = s * y[p, 0], s * y[p, 1], s * y[p, 2]
    d0, d1, d2 = s * dy[p, 0], s * dy[p, 1], s * dy[p, 2]
    for f in range(a.shape[2]):
        S[_MESSAGES, f] += S[_CHANGES, f] * a0[f] + S[FILTERS, f] * b0[f]
        w = S[FILTERS + 1, f]
        m, q = S[_CHANGES + 1, f] * a1[f] + w * b1[f], w * a1[f]
        S[_MESSAGES + 1, f] += h0 * m + d0 * q
        S[_MESSAGES + 2, f] += h1 * m + d1 * q
        S[_MESSAGES + 3, f] += h2 * m + d2 * q
    if y.shape[1] == 8:
        a2, b2 = a[j, 2], da[j, 2]
        k0, k1, k2, k3, k4 = y[p, 3], y[p, 4], y[p, 5], y[p, 6], y[p, 7]
        e0, e1, e2, e3, e4 = dy[p, 3], dy[p, 4], dy[p, 5], dy[p, 6], dy[p, 7]
        for f in range(a.shape[2]):
            w = S[FILTERS + 2, f]
            m, q = S[_CHANGES + 2, f] * a2[f] + w * b2[f], w * a2[f]
            S[_MESSAGES + 4, f] += k0 * m + e0 * q
            S[_MESSAGES + 5, f] += k1 * m + e1 * q
            S[_MESSAGES + 6, f] += k2 * m + e2 * q
            S[_MESSAGES + 7, f] += k3 * m + e3 * q
            S[_MESSAGES + 8, f] += k4 * m + e4 * q


def _give_back_change(S: Any, y: Any, dy: Any, g0: Any, g1: Any, g2: Any, p: int, s: Any, j: int) -> None:
    """Add the change of filters times harmonics times g of j."""
    z, (x0, x1, x2) = g0[j, 0], ROWS3(g1, j)
    h0, h1, h2 = s * y[p, 0], s * y[p, 1], s * y[p, 2]
    d0, d1, d2 = s * dy[p, 0], s * dy[p, 1], s * dy[p, 2]
    for f in range(g1.shape[2]):
        S[_SUMS, f] += S[_CHANGES, f] * z[f]
        q, r = h0 * x0[f] + h1 * x1[f] + h2 * x2[f], d0 * x0[f] + d1 * x1[f] + d2 * x2[f]
        S[_SUMS + 1, f] += S[_CHANGES + 1, f] * q + S[FILTERS + 1, f] * r
    if y.shape[1] == 8:
        z0, z1, z2, z3, z4 = ROWS5(g2, j)
        k0, k1, k2, k3, k4 = y[p, 3], y[p, 4], y[p, 5], y[p, 6], y[p, 7]
        e0, e1, e2, e3, e4 = dy[p, 3], dy[p, 4], dy[p, 5], dy[p, 6], dy[p, 7]
        for f in range(g1.shape[2]):
            q = k0 * z0[f] + k1 * z1[f] + k2 * z2[f] + k3 * z3[f] + k4 * z4[f]
            r = e0 * z0[f] + e1 * z1[f] + e2 * z2[f] + e3 * z3[f] + e4 * z4[f]
            S[_SUMS + 2, f] += S[_CHANGES + 2, f] * q + S[FILTERS + 2, f] * r


def _pair1_change(S: Any, a: Any, da: Any, g0: Any, i: int, j: int) -> None:
    """Write what the filter of degree 0 is multiplied with in the products of messages with g, and its change."""
    a_i, a_j, b_i, b_j, g_i, g_j = a[i, 0], a[j, 0], da[i, 0], da[j, 0], g0[i, 0], g0[j, 0]
    for f in range(a.shape[2]):
        S[PRODUCTS, f] = g_i[f] * a_j[f] + g_j[f] * a_i[f]
        S[_OTHERS, f] = g_i[f] * b_j[f] + g_j[f] * b_i[f]


def _pair3_change(S: Any, y: Any, a: Any, dy: Any, da: Any, g: Any, p: int, i: int, j: int, of_y: Any) -> None:
    """Write likewise for degree 1, without v; add derivatives by harmonics."""
    a_i, a_j, b_i, b_j, (x0, x1, x2), (z0, z1, z2) = a[i, 1], a[j, 1], da[i, 1], da[j, 1], ROWS3(g, i), ROWS3(g, j)
    h0, h1, h2, k0, k1, k2 = y[p, 0], y[p, 1], y[p, 2], dy[p, 0], dy[p, 1], dy[p, 2]
    by0 = by1 = by2 = h0 - h0
    for f in range(g.shape[2]):
        w, dw, q, r, dq, dr = S[FILTERS + 1, f], S[_CHANGES + 1, f], a_i[f], a_j[f], b_i[f], b_j[f]
        d0, d1, d2 = x0[f] * r - z0[f] * q, x1[f] * r - z1[f] * q, x2[f] * r - z2[f] * q
        e0, e1, e2 = x0[f] * dr - z0[f] * dq, x1[f] * dr - z1[f] * dq, x2[f] * dr - z2[f] * dq
        S[PRODUCTS + 1, f] = h0 * d0 + h1 * d1 + h2 * d2
        S[_OTHERS + 1, f] = h0 * e0 + h1 * e1 + h2 * e2 + k0 * d0 + k1 * d1 + k2 * d2
        by0, by1, by2 = by0 + dw * d0 + w * e0, by1 + dw * d1 + w * e1, by2 + dw * d2 + w * e2
    if len(of_y) > 0:
        of_y[p, 0] += by0
        of_y[p, 1] += by1
        of_y[p, 2] += by2


def _pair5_change(S: Any, y: Any, a: Any, dy: Any, da: Any, g: Any, p: int, i: int, j: int, of_y: Any) -> None:
    """Add likewise for degree 2, without t, a component after the other."""
    a_i, a_j, b_i, b_j = a[i, 2], a[j, 2], da[i, 2], da[j, 2]
    for c in range(5):
        h, k, x, z = y[p, 3 + c], dy[p, 3 + c], g[i, c], g[j, c]
        by = h - h
        for f in range(g.shape[2]):
            d, e = x[f] * a_j[f] + z[f] * a_i[f], x[f] * b_j[f] + z[f] * b_i[f]
            S[PRODUCTS + 2, f] += h * d
            S[_OTHERS + 2, f] += h * e + k * d
            by += S[_CHANGES + 2, f] * d + S[FILTERS + 2, f] * e
        if len(of_y) > 0:
            of_y[p, 3 + c] += by


def _splines(b: Any, db: Any, T: Any, dT: Any, row: int, S: Any, p: int) -> None:
    """Write the filters of a pair and their changes."""
    SPLINE(b, p, T, row, S, FILTERS)
    SPLINE(db, p, T, row, S, _CHANGES)
    if len(dT) > 0:
        SPLINE(b, p, dT, row, S, _OTHERS)
        for n in range(3):
            for f in range(T.shape[2]):
                S[_CHANGES + n, f] += S[_OTHERS + n, f]


def _of_pair(
    S: Any, y: Any, a: Any, v: Any, t: Any, g0: Any, g1: Any, g2: Any, dy: Any, da: Any, dv: Any, dt: Any,
    p: int, i: int, j: int, of_y: Any,
) -> None:  # fmt: skip
    """Write what all filters of a pair are multiplied with, and its change."""
    F = a.shape[2]
    CLEAR(S, PRODUCTS + 2, PRODUCTS + 3, F)
    CLEAR(S, _OTHERS + 2, _OTHERS + 3, F)
    _PAIR1_CHANGE(S, a, da, g0, i, j)
    _PAIR3_CHANGE(S, y, a, dy, da, g1, p, i, j, of_y)
    if y.shape[1] == 8:
        _PAIR5_CHANGE(S, y, a, dy, da, g2, p, i, j, of_y)
        if len(t) > 0:
            DOTS(S, v, g1, i, j, PRODUCTS + 1)
            DOTS(S, t, g2, i, j, PRODUCTS + 2)
            DOTS(S, dv, g1, i, j, _OTHERS + 1)
            DOTS(S, dt, g2, i, j, _OTHERS + 2)
    elif len(v) > 0:
        DOTS(S, v, g1, i, j, PRODUCTS + 2)
        DOTS(S, dv, g1, i, j, _OTHERS + 2)


def _to_filters(b: Any, db: Any, T: Any, dT: Any, row: int, S: Any, p: int, of_b: Any, of_T: Any) -> None:
    """Add what the products of a pair say of its weights and the table, as far as wanted."""
    if len(of_b) > 0:
        TO_WEIGHTS(T, row, S, _OTHERS, of_b, p)
        if len(dT) > 0:
            TO_WEIGHTS(dT, row, S, PRODUCTS, of_b, p)
    if len(of_T) > 0:
        TO_TABLE(db, p, S, PRODUCTS, of_T, row)
        TO_TABLE(b, p, S, _OTHERS, of_T, row)


_RECEIVE_CHANGE, _GIVE_BACK_CHANGE = (numba.njit(inline="always")(f) for f in (_receive_change, _give_back_change))
_PAIR1_CHANGE, _PAIR3_CHANGE = numba.njit(inline="always")(_pair1_change), numba.njit(inline="always")(_pair3_change)
_PAIR5_CHANGE, _SPLINES = numba.njit(inline="always")(_pair5_change), numba.njit(inline="always")(_splines)
_OF_PAIR, _TO_FILTERS = numba.njit(inline="always")(_of_pair), numba.njit(inline="always")(_to_filters)


def _second_derivatives(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, g0: Any, g1: Any, g2: Any,
    db: Any, dT: Any, dy: Any, da: Any, dv: Any, dt: Any, source: Any, start: Any, order: Any,
    of_b: Any, of_T: Any, of_y: Any, of_a: Any, of_v: Any, of_t: Any, of_g0: Any, of_g1: Any, of_g2: Any,
    low: int, high: int,
) -> None:  # fmt: skip
    separate_arrays()
    num_pairs, one, F = len(b), a.dtype.type(1), a.shape[2]
    S = np.empty((_ROWS, ROW), a.dtype)
    for i in range(low, high):
        CLEAR(S, _MESSAGES, _ROWS, F)
        for k in range(start[i], start[i + 1]):
            e = order[k]
            p, s, j = (e, one, source[e]) if e < num_pairs else (e - num_pairs, -one, source[e])
            _SPLINES(b, db, T, dT, rows[p], S, p)
            _RECEIVE_CHANGE(S, y, a, dy, da, p, s, j)
            _GIVE_BACK_CHANGE(S, y, dy, g0, g1, g2, p, -s, j)
            if len(t) > 0:
                MULTIPLY3(S, _CHANGES + 1, v, j, _MESSAGES + 1)
                MULTIPLY3(S, FILTERS + 1, dv, j, _MESSAGES + 1)
                MULTIPLY3(S, _CHANGES + 1, g1, j, _SUMS + 3)
                MULTIPLY5(S, _CHANGES + 2, t, j, _MESSAGES + 4)
                MULTIPLY5(S, FILTERS + 2, dt, j, _MESSAGES + 4)
                MULTIPLY5(S, _CHANGES + 2, g2, j, _SUMS + 6)
            elif len(v) > 0:
                MULTIPLY3(S, _CHANGES + 2, v, j, _MESSAGES + 1)
                MULTIPLY3(S, FILTERS + 2, dv, j, _MESSAGES + 1)
                MULTIPLY3(S, _CHANGES + 2, g1, j, _SUMS + 3)
            if e < num_pairs:
                _OF_PAIR(S, y, a, v, t, g0, g1, g2, dy, da, dv, dt, p, i, j, of_y)
                _TO_FILTERS(b, db, T, dT, rows[p], S, p, of_b, of_T)
        WRITE(S, _MESSAGES, of_g0, i)
        WRITE(S, _MESSAGES + 1, of_g1, i)
        WRITE(S, _MESSAGES + 4, of_g2, i)
        WRITE(S, _SUMS, of_a, i)
        if len(v) > 0:
            WRITE(S, _SUMS + 3, of_v, i)
        if len(t) > 0:
            WRITE(S, _SUMS + 6, of_t, i)


_SECOND_DERIVATIVES = compiled(_second_derivatives, parallel=False)


def _parallel_second_derivatives(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, g0: Any, g1: Any, g2: Any,
    db: Any, dT: Any, dy: Any, da: Any, dv: Any, dt: Any, source: Any, start: Any, order: Any,
    of_b: Any, of_T: Any, of_y: Any, of_a: Any, of_v: Any, of_t: Any, of_g0: Any, of_g1: Any, of_g2: Any, threads: int,
) -> None:  # fmt: skip
    for thread in prange(threads):
        low, high = part_of_thread(thread, threads, len(a))
        _SECOND_DERIVATIVES(
            b, rows, T, y, a, v, t, g0, g1, g2, db, dT, dy, da, dv, dt, source, start, order,
            of_b, of_T[thread], of_y, of_a, of_v, of_t, of_g0, of_g1, of_g2, low, high,
        )  # fmt: skip


SECOND_DERIVATIVES = compiled(_parallel_second_derivatives)
