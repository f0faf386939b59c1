"""The compiled loop over edges of the second derivative of messages of scalars, vectors and matrices.

It is the derivative of a change, that of the messages times g where weights b, tables T, harmonics y and features a, v
and t change by db, dT (which may be absent), dy, da, dv and dt. For what is in which array see
:mod:`pyg_nnp.kernels.cpu.tensor_loops`; rows of S are filters, from ``_CHANGES`` on their changes, and from
``_PRODUCTS`` and ``_OTHERS`` on what their derivatives are summed up from.
"""

from typing import Any

import numba
import numpy as np
from numba import prange

from pyg_nnp.kernels.cpu.compiler import compiled, separate_arrays
from pyg_nnp.kernels.cpu.tensor_loops import FILTERS, MOST_FEATURES, MOST_FILTERS, TO_HARMONICS, TO_TABLE, TO_WEIGHTS

_CHANGES, _PRODUCTS, _OTHERS = MOST_FILTERS, 2 * MOST_FILTERS, 3 * MOST_FILTERS


def _send_change(
    S: Any, own: int, y: Any, a: Any, v: Any, t: Any, dy: Any, da: Any, dv: Any, dt: Any, p: int, s: Any,
    j: int, o0: Any, o1: Any, o2: Any, i: int,
) -> None:  # fmt: skip
    """Add to i the change of the message of j, with the sign s of the pair's vector from i to j."""
    F = a.shape[2]
    a_j, da_j, o_i = a[j, 0], da[j, 0], o0[i]
    for f in range(F):
        o_i[f] += S[_CHANGES, f] * a_j[f] + S[0, f] * da_j[f]
    for c in range(y.shape[1]):
        degree = 1 if c < 3 else 2
        h, dh = (s * y[p, c], s * dy[p, c]) if c < 3 else (y[p, c], dy[p, c])
        a_j, da_j = a[j, degree], da[j, degree]
        x_j, dx_j, o_i = (v[j, c], dv[j, c], o1[i, c]) if c < 3 else (t[j, c - 3], dt[j, c - 3], o2[i, c - 3])
        if own:
            for f in range(F):
                o_i[f] += S[_CHANGES + degree, f] * (h * a_j[f]) + S[degree, f] * (dh * a_j[f] + h * da_j[f])
                o_i[f] += S[_CHANGES + degree + own, f] * x_j[f] + S[degree + own, f] * dx_j[f]
        else:
            for f in range(F):
                z, dz = h * a_j[f] + x_j[f], dh * a_j[f] + h * da_j[f] + dx_j[f]
                o_i[f] += S[_CHANGES + degree, f] * z + S[degree, f] * dz


def _return_change(
    S: Any, own: int, y: Any, dy: Any, g0: Any, g1: Any, g2: Any, p: int, s: Any, i: int,
    of_a: Any, of_v: Any, of_t: Any, j: int,
) -> None:  # fmt: skip
    """Add to j the change of the derivatives of its message to i by its features."""
    F = of_a.shape[2]
    g_i, a_j = g0[i], of_a[j, 0]
    for f in range(F):
        a_j[f] += S[_CHANGES, f] * g_i[f]
    for c in range(y.shape[1]):
        degree = 1 if c < 3 else 2
        h, dh = (s * y[p, c], s * dy[p, c]) if c < 3 else (y[p, c], dy[p, c])
        a_j = of_a[j, degree]
        g_i, x_j = (g1[i, c], of_v[j, c]) if c < 3 else (g2[i, c - 3], of_t[j, c - 3])
        if own:
            for f in range(F):
                x_j[f] += S[_CHANGES + degree + own, f] * g_i[f]
                a_j[f] += (h * S[_CHANGES + degree, f] + dh * S[degree, f]) * g_i[f]
        else:
            for f in range(F):
                m = S[_CHANGES + degree, f] * g_i[f]
                x_j[f] += m
                a_j[f] += h * m + dh * (S[degree, f] * g_i[f])


def _multiply_change(
    S: Any, own: int, y: Any, a: Any, v: Any, t: Any, dy: Any, da: Any, dv: Any, dt: Any, p: int, s: Any,
    j: int, g0: Any, g1: Any, g2: Any, i: int,
) -> None:  # fmt: skip
    """Add to the products those of g of i with what filters multiply, and to the others those with its change."""
    F = a.shape[2]
    a_j, da_j, g_i = a[j, 0], da[j, 0], g0[i]
    for f in range(F):
        S[_PRODUCTS, f] += g_i[f] * a_j[f]
        S[_OTHERS, f] += g_i[f] * da_j[f]
    for c in range(y.shape[1]):
        degree = 1 if c < 3 else 2
        h, dh = (s * y[p, c], s * dy[p, c]) if c < 3 else (y[p, c], dy[p, c])
        a_j, da_j = a[j, degree], da[j, degree]
        x_j, dx_j, g_i = (v[j, c], dv[j, c], g1[i, c]) if c < 3 else (t[j, c - 3], dt[j, c - 3], g2[i, c - 3])
        if own:
            for f in range(F):
                S[_PRODUCTS + degree, f] += g_i[f] * (h * a_j[f])
                S[_OTHERS + degree, f] += g_i[f] * (dh * a_j[f] + h * da_j[f])
            for f in range(F):
                S[_PRODUCTS + degree + own, f] += g_i[f] * x_j[f]
                S[_OTHERS + degree + own, f] += g_i[f] * dx_j[f]
        else:
            for f in range(F):
                S[_PRODUCTS + degree, f] += g_i[f] * (h * a_j[f] + x_j[f])
                S[_OTHERS + degree, f] += g_i[f] * (dh * a_j[f] + h * da_j[f] + dx_j[f])


def _filters_and_changes(b: Any, db: Any, T: Any, dT: Any, row: int, S: Any, F: int, p: int) -> None:
    """Write the filters of a pair and their changes; the other rows of S become 0."""
    K = T.shape[1]
    FILTERS(b, p, T, row, S, 0)
    FILTERS(db, p, T, row, S, _CHANGES)
    if len(dT) > 0:
        FILTERS(b, p, dT, row, S, _PRODUCTS)
        for n in range(K):
            for f in range(F):
                S[_CHANGES + n, f] += S[_PRODUCTS + n, f]
    for n in range(K):
        for f in range(F):
            S[_PRODUCTS + n, f] = 0
            S[_OTHERS + n, f] = 0


def _to_filters(b: Any, db: Any, T: Any, dT: Any, row: int, S: Any, p: int, of_b: Any, of_T: Any) -> None:
    """Add what the products of a pair say of its weights and the table, as far as wanted."""
    if len(of_T) > 0:
        TO_TABLE(db, p, S, _PRODUCTS, of_T, row)
        TO_TABLE(b, p, S, _OTHERS, of_T, row)
    if len(of_b) > 0:
        TO_WEIGHTS(T, row, S, _OTHERS, of_b, p)
        if len(dT) > 0:
            TO_WEIGHTS(dT, row, S, _PRODUCTS, of_b, p)


_SEND_CHANGE, _RETURN_CHANGE = numba.njit(inline="always")(_send_change), numba.njit(inline="always")(_return_change)
_MULTIPLY_CHANGE, _TO_FILTERS = numba.njit(inline="always")(_multiply_change), numba.njit(inline="always")(_to_filters)
_FILTERS_AND_CHANGES = numba.njit(inline="always")(_filters_and_changes)


def _second_derivatives(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, g0: Any, g1: Any, g2: Any,
    db: Any, dT: Any, dy: Any, da: Any, dv: Any, dt: Any, own_filters: Any, source: Any, start: Any, order: Any,
    of_b: Any, of_T: Any, of_y: Any, of_a: Any, of_v: Any, of_t: Any, of_g0: Any, of_g1: Any, of_g2: Any,
    low: int, high: int,
) -> None:  # fmt: skip
    separate_arrays()
    num_pairs, one, own, F = len(b), a.dtype.type(1), len(own_filters), a.shape[2]
    S = np.empty((4 * MOST_FILTERS, MOST_FEATURES), a.dtype)
    of_a[low:high], of_v[low:high], of_t[low:high] = 0, 0, 0
    of_g0[low:high], of_g1[low:high], of_g2[low:high] = 0, 0, 0
    for i in range(low, high):
        for k in range(start[i], start[i + 1]):
            e = order[k]
            j = source[e]
            both = low <= j < high
            if both and (j < i or (j == i and e >= num_pairs)):
                continue
            p, s = (e, one) if e < num_pairs else (e - num_pairs, -one)
            mine = both or i < j
            _FILTERS_AND_CHANGES(b, db, T, dT, rows[p], S, F, p)
            if len(of_y) > 0 and mine:
                TO_HARMONICS(S, _CHANGES, a, g1, g2, p, s, i, j, of_y)
                TO_HARMONICS(S, 0, da, g1, g2, p, s, i, j, of_y)
            # the message from j to i, and that from i to j
            for back in range(2):
                i_, j_ = (j, i) if back else (i, j)
                if both or not back:
                    _SEND_CHANGE(S, own, y, a, v, t, dy, da, dv, dt, p, s, j_, of_g0, of_g1, of_g2, i_)
                if both or back:
                    _RETURN_CHANGE(S, own, y, dy, g0, g1, g2, p, s, i_, of_a, of_v, of_t, j_)
                if mine and len(of_b) + len(of_T) > 0:
                    _MULTIPLY_CHANGE(S, own, y, a, v, t, dy, da, dv, dt, p, s, j_, g0, g1, g2, i_)
                s = -s
            if mine:
                _TO_FILTERS(b, db, T, dT, rows[p], S, p, of_b, of_T)


_SECOND_DERIVATIVES = compiled(_second_derivatives, parallel=False)


def _parallel_second_derivatives(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, g0: Any, g1: Any, g2: Any,
    db: Any, dT: Any, dy: Any, da: Any, dv: Any, dt: Any, own: Any, source: Any, start: Any, order: Any,
    of_b: Any, of_T: Any, of_y: Any, of_a: Any, of_v: Any, of_t: Any, of_g0: Any, of_g1: Any, of_g2: Any, threads: int,
) -> None:  # fmt: skip
    for thread in prange(threads):
        low, high = thread * len(a) // threads, (thread + 1) * len(a) // threads
        _SECOND_DERIVATIVES(
            b, rows, T, y, a, v, t, g0, g1, g2, db, dT, dy, da, dv, dt, own, source, start, order,
            of_b, of_T[thread], of_y, of_a, of_v, of_t, of_g0, of_g1, of_g2, low, high,
        )  # fmt: skip


SECOND_DERIVATIVES = compiled(_parallel_second_derivatives)
