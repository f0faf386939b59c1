"""The compiled loops over edges of scalars, vectors and matrices: messages, and two derivatives of them.

With L the largest degree, features are a (A, L + 1, F), v (A, 3, F) and t (A, 5, F), or (A, 0, F) where L is 1, tables
(R, K, F), of at most 256 features F. A thread has the atoms from ``low`` to ``high``, and a table of its own. It does a
pair of two of its atoms once, for both; what atoms of other threads get from a pair is done there, and what belongs to
the pair by one of the two threads.

Rows of S are the K filters of a pair: L + 1, or 2 L + 1 where v and t have their own, L rows after those that multiply
harmonics. ``own`` is a tuple as long as there are more filters, 0 or L: its length is known to the compiler, and an
unknown one costs 7 % of the time.
"""

from typing import Any

import numba
import numpy as np
from numba import prange

from pyg_nnp.kernels.cpu.compiler import compiled, separate_arrays

MOST_FEATURES = 256
# of a pair
MOST_FILTERS = 5


def _filters(b: Any, p: int, T: Any, row: int, S: Any, at: int) -> None:
    """Write the filters of a pair into S, from row ``at`` on."""
    F = T.shape[2]
    for degree in range(T.shape[1]):
        if b.shape[1] == 6:
            # all rows in one pass
            w0, w1, w2, w3, w4, w5 = b[p, 0], b[p, 1], b[p, 2], b[p, 3], b[p, 4], b[p, 5]
            t0, t1, t2 = T[row, degree], T[row + 1, degree], T[row + 2, degree]
            t3, t4, t5 = T[row + 3, degree], T[row + 4, degree], T[row + 5, degree]
            for f in range(F):
                S[at + degree, f] = w0 * t0[f] + w1 * t1[f] + w2 * t2[f] + w3 * t3[f] + w4 * t4[f] + w5 * t5[f]
        else:
            for f in range(F):
                S[at + degree, f] = 0
            for n in range(b.shape[1]):
                w, t = b[p, n], T[row + n, degree]
                for f in range(F):
                    S[at + degree, f] += w * t[f]


def _to_table(b: Any, p: int, S: Any, at: int, of_T: Any, row: int) -> None:
    """Add the products of weights with rows of S to the rows of a table."""
    F = of_T.shape[2]
    for n in range(b.shape[1]):
        w = b[p, n]
        for degree in range(of_T.shape[1]):
            t = of_T[row + n, degree]
            for f in range(F):
                t[f] += w * S[at + degree, f]


def _to_weights(T: Any, row: int, S: Any, at: int, of_b: Any, p: int) -> None:
    """Add the products of rows of S with those of a table: derivatives by the weights of a pair."""
    F = T.shape[2]
    for n in range(of_b.shape[1]):
        total = S[at, 0] - S[at, 0]
        for degree in range(T.shape[1]):
            t = T[row + n, degree]
            for f in range(F):
                total += t[f] * S[at + degree, f]
        of_b[p, n] += total


def _to_harmonics(S: Any, at: int, a: Any, g1: Any, g2: Any, p: int, s: Any, i: int, j: int, of_y: Any) -> None:
    """Add the derivatives by the harmonics of a pair, with the sign s of its vector from i to j."""
    for c in range(of_y.shape[1]):
        degree = 1 if c < 3 else 2
        one_way, back = (s, -s) if c < 3 else (s * s, s * s)
        g_i, g_j = (g1[i, c], g1[j, c]) if c < 3 else (g2[i, c - 3], g2[j, c - 3])
        a_i, a_j = a[i, degree], a[j, degree]
        total = s - s
        for f in range(len(a_j)):
            total += S[at + degree, f] * (one_way * a_j[f] * g_i[f] + back * a_i[f] * g_j[f])
        of_y[p, c] += total


def _send(
    S: Any, own: int, y: Any, a: Any, v: Any, t: Any, p: int, s: Any, j: int, o0: Any, o1: Any, o2: Any, i: int
) -> None:
    """Add to i the message of j, with the sign s of the pair's vector from i to j."""
    F = a.shape[2]
    a_j, o_i = a[j, 0], o0[i]
    for f in range(F):
        o_i[f] += S[0, f] * a_j[f]
    for c in range(y.shape[1]):
        degree = 1 if c < 3 else 2
        h = s * y[p, c] if c < 3 else y[p, c]
        a_j = a[j, degree]
        x_j, o_i = (v[j, c], o1[i, c]) if c < 3 else (t[j, c - 3], o2[i, c - 3])
        if own:
            for f in range(F):
                o_i[f] += S[degree, f] * (h * a_j[f]) + S[degree + own, f] * x_j[f]
        else:
            for f in range(F):
                o_i[f] += S[degree, f] * (h * a_j[f] + x_j[f])


def _return(
    S: Any, own: int, y: Any, g0: Any, g1: Any, g2: Any, p: int, s: Any, i: int, of_a: Any, of_v: Any, of_t: Any,
    j: int,
) -> None:  # fmt: skip
    """Add to j the derivatives of its message to i by its features."""
    F = of_a.shape[2]
    g_i, a_j = g0[i], of_a[j, 0]
    for f in range(F):
        a_j[f] += S[0, f] * g_i[f]
    for c in range(y.shape[1]):
        degree = 1 if c < 3 else 2
        h = s * y[p, c] if c < 3 else y[p, c]
        a_j = of_a[j, degree]
        g_i, x_j = (g1[i, c], of_v[j, c]) if c < 3 else (g2[i, c - 3], of_t[j, c - 3])
        if own:
            for f in range(F):
                x_j[f] += S[degree + own, f] * g_i[f]
                a_j[f] += h * (S[degree, f] * g_i[f])
        else:
            for f in range(F):
                m = S[degree, f] * g_i[f]
                x_j[f] += m
                a_j[f] += h * m


def _multiply(
    S: Any, at: int, own: int, y: Any, a: Any, v: Any, t: Any, p: int, s: Any, j: int, g0: Any, g1: Any, g2: Any,
    i: int,
) -> None:  # fmt: skip
    """Add to S, from row ``at`` on, the products of g of i with what filters multiply in the message of j."""
    F = a.shape[2]
    a_j, g_i = a[j, 0], g0[i]
    for f in range(F):
        S[at, f] += g_i[f] * a_j[f]
    for c in range(y.shape[1]):
        degree = 1 if c < 3 else 2
        h = s * y[p, c] if c < 3 else y[p, c]
        a_j = a[j, degree]
        x_j, g_i = (v[j, c], g1[i, c]) if c < 3 else (t[j, c - 3], g2[i, c - 3])
        if own:
            for f in range(F):
                S[at + degree, f] += g_i[f] * (h * a_j[f])
            for f in range(F):
                S[at + degree + own, f] += g_i[f] * x_j[f]
        else:
            for f in range(F):
                S[at + degree, f] += g_i[f] * (h * a_j[f] + x_j[f])


# put into the loops that call them, so that arrays are known not to overlap
FILTERS, TO_TABLE = numba.njit(inline="always")(_filters), numba.njit(inline="always")(_to_table)
TO_WEIGHTS, TO_HARMONICS = numba.njit(inline="always")(_to_weights), numba.njit(inline="always")(_to_harmonics)
_SEND, _RETURN = numba.njit(inline="always")(_send), numba.njit(inline="always")(_return)
_MULTIPLY = numba.njit(inline="always")(_multiply)


def _aggregate(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, own_filters: Any,
    source: Any, start: Any, order: Any, o0: Any, o1: Any, o2: Any, low: int, high: int,
) -> None:  # fmt: skip
    separate_arrays()
    num_pairs, one, own = len(b), a.dtype.type(1), len(own_filters)
    S = np.empty((MOST_FILTERS, MOST_FEATURES), a.dtype)  # filters
    o0[low:high], o1[low:high], o2[low:high] = 0, 0, 0
    for i in range(low, high):
        for k in range(start[i], start[i + 1]):
            e = order[k]
            j = source[e]
            both = low <= j < high
            if both and (j < i or (j == i and e >= num_pairs)):
                continue
            p, s = (e, one) if e < num_pairs else (e - num_pairs, -one)
            FILTERS(b, p, T, rows[p], S, 0)
            for back in range(2 if both else 1):
                if back:
                    i_, j_, s = j, i, -s
                else:
                    i_, j_ = i, j
                _SEND(S, own, y, a, v, t, p, s, j_, o0, o1, o2, i_)


def _first_derivatives(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, g0: Any, g1: Any, g2: Any,
    own_filters: Any, source: Any, start: Any, order: Any,
    of_b: Any, of_T: Any, of_y: Any, of_a: Any, of_v: Any, of_t: Any, low: int, high: int,
) -> None:  # fmt: skip
    separate_arrays()
    num_pairs, one, own, F = len(b), a.dtype.type(1), len(own_filters), a.shape[2]
    S = np.empty((2 * MOST_FILTERS, MOST_FEATURES), a.dtype)  # filters, and their derivatives
    of_a[low:high], of_v[low:high], of_t[low:high] = 0, 0, 0
    for i in range(low, high):
        for k in range(start[i], start[i + 1]):
            e = order[k]
            j = source[e]
            both = low <= j < high
            if both and (j < i or (j == i and e >= num_pairs)):
                continue
            p, s = (e, one) if e < num_pairs else (e - num_pairs, -one)
            mine = both or i < j
            FILTERS(b, p, T, rows[p], S, 0)
            if len(of_y) > 0 and mine:
                TO_HARMONICS(S, 0, a, g1, g2, p, s, i, j, of_y)
            for n in range(T.shape[1]):
                for f in range(F):
                    S[MOST_FILTERS + n, f] = 0
            # the message from j to i, and that from i to j
            for back in range(2):
                i_, j_ = (j, i) if back else (i, j)
                if both or back:
                    _RETURN(S, own, y, g0, g1, g2, p, s, i_, of_a, of_v, of_t, j_)
                if mine and len(of_b) + len(of_T) > 0:
                    _MULTIPLY(S, MOST_FILTERS, own, y, a, v, t, p, s, j_, g0, g1, g2, i_)
                s = -s
            if len(of_b) > 0 and mine:
                TO_WEIGHTS(T, rows[p], S, MOST_FILTERS, of_b, p)
            if len(of_T) > 0 and mine:
                TO_TABLE(b, p, S, MOST_FILTERS, of_T, rows[p])


_AGGREGATE, _FIRST_DERIVATIVES = compiled(_aggregate, parallel=False), compiled(_first_derivatives, parallel=False)


def _parallel_aggregate(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, own: Any,
    source: Any, start: Any, order: Any, o0: Any, o1: Any, o2: Any, threads: int,
) -> None:  # fmt: skip
    for thread in prange(threads):
        low, high = thread * len(a) // threads, (thread + 1) * len(a) // threads
        _AGGREGATE(b, rows, T, y, a, v, t, own, source, start, order, o0, o1, o2, low, high)


def _parallel_first_derivatives(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, g0: Any, g1: Any, g2: Any,
    own: Any, source: Any, start: Any, order: Any,
    of_b: Any, of_T: Any, of_y: Any, of_a: Any, of_v: Any, of_t: Any, threads: int,
) -> None:  # fmt: skip
    for thread in prange(threads):
        low, high = thread * len(a) // threads, (thread + 1) * len(a) // threads
        _FIRST_DERIVATIVES(
            b, rows, T, y, a, v, t, g0, g1, g2, own, source, start, order,
            of_b, of_T[thread], of_y, of_a, of_v, of_t, low, high,
        )  # fmt: skip


AGGREGATE, FIRST_DERIVATIVES = compiled(_parallel_aggregate), compiled(_parallel_first_derivatives)
