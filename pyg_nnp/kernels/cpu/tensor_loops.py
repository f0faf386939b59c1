"""The compiled loops over edges of scalars, vectors and matrices: messages, and their first derivatives.

With L the largest degree, features are a (A, L + 1, F), v (A, 3, F) and t (A, 5, F), or (A, 0, F) where L is 1; v and t
have no rows where they are absent. Tables are (R, 3, F), of at most 256 features F: with L = 2 one filter of each
degree, with L = 1 the third is that of v.

A thread has the atoms from ``low`` to ``high``. It gathers what they get from their neighbors, computing the filters of
each pair twice, once for either atom; what belongs to a pair is computed at the target of its first edge. Each function
goes through the features once, for all components of a degree. Sums are rows of S until an atom is done: rows of one
array of a fixed length are known not to overlap, so that the loops are vectorised.
"""

from typing import Any

import numba
import numpy as np
from numba import prange

from pyg_nnp.kernels.cpu.compiler import compiled, part_of_thread, separate_arrays
from pyg_nnp.kernels.cpu.tensor_features import (
    CLEAR,
    DOTS,
    FILTERS,
    GIVE_BACK,
    MULTIPLY3,
    MULTIPLY5,
    PAIR1,
    PAIR3,
    PAIR5,
    PRODUCTS,
    RECEIVE,
    ROW,
    SPLINE,
    SUMS,
    TO_TABLE,
    TO_WEIGHTS,
    WRITE,
)

_ROWS = SUMS + 11


def _aggregate(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, source: Any, start: Any, order: Any,
    o0: Any, o1: Any, o2: Any, low: int, high: int,
) -> None:  # fmt: skip
    separate_arrays()
    num_pairs, one, F = len(b), a.dtype.type(1), a.shape[2]
    S = np.empty((_ROWS, ROW), a.dtype)
    for i in range(low, high):
        CLEAR(S, SUMS, SUMS + 9, F)
        for k in range(start[i], start[i + 1]):
            e = order[k]
            p, s, j = (e, one, source[e]) if e < num_pairs else (e - num_pairs, -one, source[e])
            SPLINE(b, p, T, rows[p], S, FILTERS)
            RECEIVE(S, y, a, p, s, j)
            if len(t) > 0:
                MULTIPLY3(S, FILTERS + 1, v, j, SUMS + 1)
                MULTIPLY5(S, FILTERS + 2, t, j, SUMS + 4)
            elif len(v) > 0:
                MULTIPLY3(S, FILTERS + 2, v, j, SUMS + 1)
        WRITE(S, SUMS, o0, i)
        WRITE(S, SUMS + 1, o1, i)
        WRITE(S, SUMS + 4, o2, i)


def _of_pair(
    S: Any, y: Any, a: Any, v: Any, t: Any, g0: Any, g1: Any, g2: Any, p: int, i: int, j: int, of_y: Any
) -> None:
    """Write what all filters of a pair are multiplied with, and add derivatives by harmonics."""
    PAIR1(S, a, g0, i, j, PRODUCTS)
    PAIR3(S, FILTERS + 1, y, a, g1, p, i, j, PRODUCTS + 1, of_y)
    if y.shape[1] == 8:
        PAIR5(S, FILTERS + 2, y, a, g2, p, i, j, PRODUCTS + 2, of_y)
        if len(t) > 0:
            DOTS(S, v, g1, i, j, PRODUCTS + 1)
            DOTS(S, t, g2, i, j, PRODUCTS + 2)
    else:
        CLEAR(S, PRODUCTS + 2, PRODUCTS + 3, a.shape[2])
        if len(v) > 0:
            DOTS(S, v, g1, i, j, PRODUCTS + 2)


_OF_PAIR = numba.njit(inline="always")(_of_pair)


def _first_derivatives(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, g0: Any, g1: Any, g2: Any, source: Any, start: Any,
    order: Any, of_b: Any, of_T: Any, of_y: Any, of_a: Any, of_v: Any, of_t: Any, low: int, high: int,
) -> None:  # fmt: skip
    separate_arrays()
    num_pairs, num_features, one, F = len(b), len(of_a), a.dtype.type(1), a.shape[2]
    S = np.empty((_ROWS, ROW), a.dtype)
    for i in range(low, high):
        CLEAR(S, SUMS, SUMS + 11, F)
        for k in range(start[i], start[i + 1]):
            e = order[k]
            p, s, j = (e, one, source[e]) if e < num_pairs else (e - num_pairs, -one, source[e])
            if num_features == 0 and e >= num_pairs:
                continue
            SPLINE(b, p, T, rows[p], S, FILTERS)
            if num_features > 0:
                GIVE_BACK(S, y, g0, g1, g2, p, -s, j)
                if len(t) > 0:
                    MULTIPLY3(S, FILTERS + 1, g1, j, SUMS + 3)
                    MULTIPLY5(S, FILTERS + 2, g2, j, SUMS + 6)
                elif len(v) > 0:
                    MULTIPLY3(S, FILTERS + 2, g1, j, SUMS + 3)
            if e < num_pairs:
                _OF_PAIR(S, y, a, v, t, g0, g1, g2, p, i, j, of_y)
                if len(of_b) > 0:
                    TO_WEIGHTS(T, rows[p], S, PRODUCTS, of_b, p)
                if len(of_T) > 0:
                    TO_TABLE(b, p, S, PRODUCTS, of_T, rows[p])
        if num_features > 0:
            WRITE(S, SUMS, of_a, i)
            if len(v) > 0:
                WRITE(S, SUMS + 3, of_v, i)
            if len(t) > 0:
                WRITE(S, SUMS + 6, of_t, i)


_AGGREGATE, _FIRST_DERIVATIVES = compiled(_aggregate, parallel=False), compiled(_first_derivatives, parallel=False)


def _parallel_aggregate(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, source: Any, start: Any, order: Any,
    o0: Any, o1: Any, o2: Any, threads: int,
) -> None:  # fmt: skip
    for thread in prange(threads):
        low, high = part_of_thread(thread, threads, len(a))
        _AGGREGATE(b, rows, T, y, a, v, t, source, start, order, o0, o1, o2, low, high)


def _parallel_first_derivatives(
    b: Any, rows: Any, T: Any, y: Any, a: Any, v: Any, t: Any, g0: Any, g1: Any, g2: Any,
    source: Any, start: Any, order: Any,
    of_b: Any, of_T: Any, of_y: Any, of_a: Any, of_v: Any, of_t: Any, threads: int,
) -> None:  # fmt: skip
    for thread in prange(threads):
        low, high = part_of_thread(thread, threads, len(a))
        _FIRST_DERIVATIVES(
            b, rows, T, y, a, v, t, g0, g1, g2, source, start, order,
            of_b, of_T[thread], of_y, of_a, of_v, of_t, low, high,
        )  # fmt: skip


AGGREGATE, FIRST_DERIVATIVES = compiled(_parallel_aggregate), compiled(_parallel_first_derivatives)
