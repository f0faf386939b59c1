"""What the loops over edges do with one atom or pair, for all its features: vectorised loops in compiled code.

For what is in which array see :mod:`pyg_nnp.kernels.cpu.tensor_loops`.
"""

from typing import Any

import numba

from pyg_nnp.kernels.cpu.aggregation_loops import WEIGHT
from pyg_nnp.kernels.cpu.small_tensors import ROWS3, ROWS5

MOST_FEATURES = 256
# the length of a row of S: with a power of two the rows would take one another's place in the first-level cache
ROW = MOST_FEATURES + 16
# rows of S: three filters; what they are multiplied with; sums of a scalar, a vector and a matrix, or of a, v and t
FILTERS, PRODUCTS, SUMS = 0, 3, 6


def _clear(S: Any, first: int, end: int, F: int) -> None:
    for n in range(first, end):
        for f in range(F):
            S[n, f] = 0


def _write(S: Any, first: int, out: Any, i: int) -> None:
    """Write rows of S, from the first on, to all components of an atom."""
    for c in range(out.shape[1]):
        for f in range(out.shape[2]):
            out[i, c, f] = S[first + c, f]


def _spline(b: Any, p: int, T: Any, row: int, S: Any, at: int) -> None:
    """Write the three filters of a pair into S, from row ``at`` on."""
    F = T.shape[2]
    for n in range(3):
        if b.shape[1] == 6:
            # all rows in one pass
            w0, w1, w2 = WEIGHT(b, p, 0), WEIGHT(b, p, 1), WEIGHT(b, p, 2)
            w3, w4, w5 = WEIGHT(b, p, 3), WEIGHT(b, p, 4), WEIGHT(b, p, 5)
            t0, t1, t2 = T[row, n], T[row + 1, n], T[row + 2, n]
            t3, t4, t5 = T[row + 3, n], T[row + 4, n], T[row + 5, n]
            for f in range(F):
                S[at + n, f] = w0 * t0[f] + w1 * t1[f] + w2 * t2[f] + w3 * t3[f] + w4 * t4[f] + w5 * t5[f]
        else:
            for f in range(F):
                S[at + n, f] = 0
            for m in range(b.shape[1]):
                w, t = WEIGHT(b, p, m), T[row + m, n]
                for f in range(F):
                    S[at + n, f] += w * t[f]


def _receive(S: Any, y: Any, a: Any, p: int, s: Any, j: int) -> None:
    """Add filters times harmonics times a of j, with the sign s of the pair's vector from target to source."""
    a0, a1 = a[j, 0], a[j, 1]
    h0, h1, h2 = s * y[p, 0], s * y[p, 1], s * y[p, 2]
    for f in range(a.shape[2]):
        S[SUMS, f] += S[FILTERS, f] * a0[f]
        m = S[FILTERS + 1, f] * a1[f]
        S[SUMS + 1, f] += h0 * m
        S[SUMS + 2, f] += h1 * m
        S[SUMS + 3, f] += h2 * m
    if y.shape[1] == 8:
        a2, k0, k1, k2, k3, k4 = a[j, 2], y[p, 3], y[p, 4], y[p, 5], y[p, 6], y[p, 7]
        for f in range(a.shape[2]):
            m = S[FILTERS + 2, f] * a2[f]
            S[SUMS + 4, f] += k0 * m
            S[SUMS + 5, f] += k1 * m
            S[SUMS + 6, f] += k2 * m
            S[SUMS + 7, f] += k3 * m
            S[SUMS + 8, f] += k4 * m


def _multiply3(S: Any, filter: int, x: Any, j: int, at: int) -> None:
    """Add a filter times the vector of j."""
    x0, x1, x2 = ROWS3(x, j)
    for f in range(x.shape[2]):
        w = S[filter, f]
        S[at, f] += w * x0[f]
        S[at + 1, f] += w * x1[f]
        S[at + 2, f] += w * x2[f]


def _multiply5(S: Any, filter: int, x: Any, j: int, at: int) -> None:
    """Add a filter times the matrix of j."""
    x0, x1, x2, x3, x4 = ROWS5(x, j)
    for f in range(x.shape[2]):
        w = S[filter, f]
        S[at, f] += w * x0[f]
        S[at + 1, f] += w * x1[f]
        S[at + 2, f] += w * x2[f]
        S[at + 3, f] += w * x3[f]
        S[at + 4, f] += w * x4[f]


def _give_back(S: Any, y: Any, g0: Any, g1: Any, g2: Any, p: int, s: Any, j: int) -> None:
    """Add filters times harmonics times g of j: by a of an atom with the sign s of the vector from it to j."""
    z, (x0, x1, x2) = g0[j, 0], ROWS3(g1, j)
    h0, h1, h2 = s * y[p, 0], s * y[p, 1], s * y[p, 2]
    for f in range(g1.shape[2]):
        S[SUMS, f] += S[FILTERS, f] * z[f]
        S[SUMS + 1, f] += S[FILTERS + 1, f] * (h0 * x0[f] + h1 * x1[f] + h2 * x2[f])
    if y.shape[1] == 8:
        z0, z1, z2, z3, z4 = ROWS5(g2, j)
        k0, k1, k2, k3, k4 = y[p, 3], y[p, 4], y[p, 5], y[p, 6], y[p, 7]
        for f in range(g1.shape[2]):
            q = k0 * z0[f] + k1 * z1[f] + k2 * z2[f] + k3 * z3[f] + k4 * z4[f]
            S[SUMS + 2, f] += S[FILTERS + 2, f] * q


def _pair_of_scalars(S: Any, a: Any, g0: Any, i: int, j: int, at: int) -> None:
    """Write what the filter of degree 0 is multiplied with in the sum of products of messages with g."""
    a_i, a_j, g_i, g_j = a[i, 0], a[j, 0], g0[i, 0], g0[j, 0]
    for f in range(a.shape[2]):
        S[at, f] = g_i[f] * a_j[f] + g_j[f] * a_i[f]


def _pair3(S: Any, filter: int, y: Any, a: Any, g: Any, p: int, i: int, j: int, at: int, of_y: Any) -> None:
    """Write likewise for degree 1, without v; the derivatives by harmonics are this times the filter."""
    a_i, a_j, (x0, x1, x2), (z0, z1, z2) = a[i, 1], a[j, 1], ROWS3(g, i), ROWS3(g, j)
    h0, h1, h2 = y[p, 0], y[p, 1], y[p, 2]
    by0 = by1 = by2 = h0 - h0
    for f in range(g.shape[2]):
        w, q, r = S[filter, f], a_i[f], a_j[f]
        d0, d1, d2 = x0[f] * r - z0[f] * q, x1[f] * r - z1[f] * q, x2[f] * r - z2[f] * q
        S[at, f] = h0 * d0 + h1 * d1 + h2 * d2
        by0, by1, by2 = by0 + w * d0, by1 + w * d1, by2 + w * d2
    if len(of_y) > 0:
        of_y[p, 0] += by0
        of_y[p, 1] += by1
        of_y[p, 2] += by2


def _pair5(S: Any, filter: int, y: Any, a: Any, g: Any, p: int, i: int, j: int, at: int, of_y: Any) -> None:
    """Write likewise for degree 2, without t."""
    a_i, a_j, (x0, x1, x2, x3, x4), (z0, z1, z2, z3, z4) = a[i, 2], a[j, 2], ROWS5(g, i), ROWS5(g, j)
    k0, k1, k2, k3, k4 = y[p, 3], y[p, 4], y[p, 5], y[p, 6], y[p, 7]
    by0 = by1 = by2 = by3 = by4 = k0 - k0
    for f in range(g.shape[2]):
        w, q, r = S[filter, f], a_i[f], a_j[f]
        d0, d1, d2 = x0[f] * r + z0[f] * q, x1[f] * r + z1[f] * q, x2[f] * r + z2[f] * q
        d3, d4 = x3[f] * r + z3[f] * q, x4[f] * r + z4[f] * q
        S[at, f] = k0 * d0 + k1 * d1 + k2 * d2 + k3 * d3 + k4 * d4
        by0, by1, by2, by3, by4 = by0 + w * d0, by1 + w * d1, by2 + w * d2, by3 + w * d3, by4 + w * d4
    if len(of_y) > 0:
        of_y[p, 3] += by0
        of_y[p, 4] += by1
        of_y[p, 5] += by2
        of_y[p, 6] += by3
        of_y[p, 7] += by4


def _dots(S: Any, x: Any, g: Any, i: int, j: int, at: int) -> None:
    """Add the products of g and x of two atoms, either with that of the other, summed over components."""
    for c in range(x.shape[1]):
        x_i, x_j, g_i, g_j = x[i, c], x[j, c], g[i, c], g[j, c]
        for f in range(x.shape[2]):
            S[at, f] += g_i[f] * x_j[f] + g_j[f] * x_i[f]


def _to_table(b: Any, p: int, S: Any, at: int, of_T: Any, row: int) -> None:
    """Add the products of weights with three rows of S to the rows of a table."""
    for m in range(b.shape[1]):
        w = WEIGHT(b, p, m)
        for n in range(3):
            t = of_T[row + m, n]
            for f in range(of_T.shape[2]):
                t[f] += w * S[at + n, f]


def _to_weights(T: Any, row: int, S: Any, at: int, of_b: Any, p: int) -> None:
    """Add the products of three rows of S with those of a table, or with differences to the row before.

    They are derivatives by the weights of a pair.
    """
    zero = S[at, 0] - S[at, 0]
    total, (t0, t1, t2) = zero, ROWS3(T, row)
    for f in range(T.shape[2]):
        total += t0[f] * S[at, f] + t1[f] * S[at + 1, f] + t2[f] * S[at + 2, f]
    of_b[p, 0] += total
    for m in range(1, of_b.shape[1]):
        total, (t0, t1, t2), (u0, u1, u2) = zero, ROWS3(T, row + m), ROWS3(T, row + m - 1)
        for f in range(T.shape[2]):
            d0, d1, d2 = t0[f] - u0[f], t1[f] - u1[f], t2[f] - u2[f]
            total += d0 * S[at, f] + d1 * S[at + 1, f] + d2 * S[at + 2, f]
        of_b[p, m] += total


# put into the loops that call them, so that arrays are known not to overlap
CLEAR, WRITE, SPLINE, DOTS = (numba.njit(inline="always")(f) for f in (_clear, _write, _spline, _dots))
MULTIPLY3, MULTIPLY5 = numba.njit(inline="always")(_multiply3), numba.njit(inline="always")(_multiply5)
TO_TABLE, TO_WEIGHTS = numba.njit(inline="always")(_to_table), numba.njit(inline="always")(_to_weights)
RECEIVE, GIVE_BACK = numba.njit(inline="always")(_receive), numba.njit(inline="always")(_give_back)
PAIR1, PAIR3, PAIR5 = (numba.njit(inline="always")(f) for f in (_pair_of_scalars, _pair3, _pair5))
