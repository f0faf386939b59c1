"""Derivatives of messages of scalars, vectors and matrices by what belongs to pairs, and by the table of filters.

For ``given``, ``change`` and all other arguments see :mod:`pyg_nnp.kernels.gpu.tensor_kernels`.
"""

# kernels have types when they are compiled, and tuples grow as they are
# mypy: allow-untyped-defs, allow-incomplete-defs, disable-error-code=assignment

import triton.language as tl

from pyg_nnp.kernels.gpu.aggregation import difference, weight
from pyg_nnp.kernels.gpu.compiler import jit
from pyg_nnp.kernels.gpu.small_tensors import add, dot, load
from pyg_nnp.kernels.gpu.tensor_kernels import change_of_sent, filters, numbers, sent


@jit
def _products(g, given, change, degree: tl.constexpr, p, i, j, f, valid, D: tl.constexpr, F: tl.constexpr):
    """Return what filters of one degree are multiplied with in the sum of messages times g, and its change.

    The first twice, where nothing changes.
    """
    filled = valid[:, None] & (f < F)  # (COUNT, WIDTH)
    g_i, g_j = load(g[degree], i, f, filled, 2 * degree + 1, F), load(g[degree], j, f, filled, 2 * degree + 1, F)
    z_j = sent(given[2], given[3], given[3 + degree], degree, p, 1.0, j, f, valid, D, F)
    z_i = sent(given[2], given[3], given[3 + degree], degree, p, -1.0, i, f, valid, D, F)
    V = dot(g_i, z_j) + dot(g_j, z_i)
    dV = V
    if change[0] is not None:
        dz_j = change_of_sent(given, change, degree, p, 1.0, j, f, valid, D, F)
        dz_i = change_of_sent(given, change, degree, p, -1.0, i, f, valid, D, F)
        dV = dot(g_i, dz_j) + dot(g_j, dz_i)
    return V, dV


@jit
def _by_weights(T, dT, V, dV, degree: tl.constexpr, row, f, valid, C: tl.constexpr, D: tl.constexpr, F: tl.constexpr):
    """Return the derivatives by the C weights, of one degree, still to be summed over features, or their change."""
    filled = valid[:, None] & (f < F)  # (COUNT, WIDTH)
    found = ()
    for n in tl.static_range(C):
        at = ((row + n) * D + degree) * F + f  # (COUNT, WIDTH)
        by_n = difference(T, at, D * F, filled, n) * dV
        if dT is not None:
            by_n += difference(dT, at, D * F, filled, n) * V
        found = found + (by_n,)  # noqa: RUF005
    return found


@jit
def _by_harmonics(
    g, given, change, degree: tl.constexpr, p, row, i, j, f, valid, C: tl.constexpr, D: tl.constexpr, F: tl.constexpr
):
    """Return the derivatives by the harmonics of one degree, (COUNT,) each, or their change."""
    filled = valid[:, None] & (f < F)  # (COUNT, WIDTH)
    W, dW = filters(given, change, degree, p, row, f, valid, C, D, F)
    at_i, at_j = (i * D + degree) * F + f, (j * D + degree) * F + f  # (COUNT, WIDTH)
    to_i, to_j = (
        dW * tl.load(given[3] + at_j, mask=filled, other=0),
        dW * tl.load(given[3] + at_i, mask=filled, other=0),
    )
    if change[0] is not None:
        to_i += W * tl.load(change[3] + at_j, mask=filled, other=0)
        to_j += W * tl.load(change[3] + at_i, mask=filled, other=0)
    if degree == 1:
        to_j = -to_j
    g_i, g_j = load(g[degree], i, f, filled, 2 * degree + 1, F), load(g[degree], j, f, filled, 2 * degree + 1, F)
    found = ()
    for k in tl.static_range(2 * degree + 1):
        found = found + (tl.sum(to_i * g_i[k] + to_j * g_j[k], axis=1),)  # noqa: RUF005
    return found


@jit
def of_pairs(
    b, T, y, a, v, t, db, dT, dy, da, dv, dt, g0, g1, g2, rows, source, target, of_b, of_y, num_pairs,
    C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    """Write the derivatives of messages times g by the weights and harmonics of pairs, or their change."""
    given, change, g = (b, T, y, a, v, t), (db, dT, dy, da, dv, dt), (g0, g1, g2)
    p = tl.program_id(0).to(tl.int64) * COUNT + tl.arange(0, COUNT)
    f = tl.arange(0, WIDTH)[None, :]  # (1, WIDTH)
    valid = p < num_pairs
    i, j = numbers(target, p, valid)[:, None], numbers(source, p, valid)[:, None]  # (COUNT, 1)
    row = numbers(rows, p, valid)[:, None]  # (COUNT, 1)
    by_b, by_y = (tl.zeros((COUNT, WIDTH), a.dtype.element_ty),) * C, ()
    # written at the end, so that what both need is read once
    for degree in tl.static_range(D):
        if of_b is not None:
            V, dV = _products(g, given, change, degree, p, i, j, f, valid, D, F)
            by_b = add(by_b, _by_weights(T, dT, V, dV, degree, row, f, valid, C, D, F))
        if of_y is not None and degree > 0:
            by_y = by_y + _by_harmonics(g, given, change, degree, p, row, i, j, f, valid, C, D, F)
    if of_b is not None:
        for n in tl.static_range(C):
            tl.store(of_b + p * C + n, tl.sum(by_b[n], axis=1), mask=valid)
    if of_y is not None:
        for k in tl.static_range(D * D - 1):
            tl.store(of_y + p * (D * D - 1) + k, by_y[k], mask=valid)


@jit
def of_rows(
    b, T, y, a, v, t, db, dT, dy, da, dv, dt, g0, g1, g2, source, target, start, order, of_T,
    C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    """Write what pairs whose first row is m add to their C rows of the table, (PARTS, M, C, D, F)."""
    given, change, g = (b, T, y, a, v, t), (db, dT, dy, da, dv, dt), (g0, g1, g2)
    m, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    f = tl.arange(0, WIDTH)[None, :]  # (1, WIDTH)
    sums = (tl.zeros((COUNT, WIDTH), a.dtype.element_ty),) * (C * D)
    end = tl.load(start + m + 1)
    for first in range(tl.load(start + m) + part * COUNT, end, tl.num_programs(1) * COUNT):
        k = first + tl.arange(0, COUNT)
        valid = k < end
        p = numbers(order, k, valid)
        i, j = numbers(target, p, valid)[:, None], numbers(source, p, valid)[:, None]  # (COUNT, 1)
        added = ()
        for degree in tl.static_range(D):
            V, dV = _products(g, given, change, degree, p, i, j, f, valid, D, F)
            for n in tl.static_range(C):
                of_n = weight(b, p, n, valid, C) * dV  # (COUNT, WIDTH)
                if db is not None:
                    of_n += weight(db, p, n, valid, C) * V  # (COUNT, WIDTH)
                added = added + (of_n,)  # noqa: RUF005
        sums = add(sums, added)
    place = tl.num_programs(0) * part + m
    for degree in tl.static_range(D):
        for n in tl.static_range(C):
            total = tl.sum(sums[degree * C + n], axis=0)[None, :]  # (1, WIDTH)
            tl.store(of_T + ((place * C + n) * D + degree) * F + f, total, mask=f < F)


@jit
def sum_parts(
    x, out, num_parts, num_first, C: tl.constexpr, SIZE: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr
):
    """Write the rows r of a table, of SIZE numbers each, sums of x (PARTS, M, C, SIZE) over parts and m + n = r."""
    r, f = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)[None, :]  # (1, WIDTH)
    n = tl.arange(0, COUNT)[:, None]  # (COUNT, 1)
    m = r - n  # (COUNT, 1)
    valid = (n < C) & (m >= 0) & (m < num_first) & (f < SIZE)  # (COUNT, WIDTH)
    total = tl.zeros((COUNT, WIDTH), x.dtype.element_ty)
    for part in range(num_parts):
        total += tl.load(x + ((part * num_first + m) * C + n) * SIZE + f, mask=valid, other=0)
    tl.store(out + r * SIZE + f, tl.sum(total, axis=0)[None, :], mask=f < SIZE)
