"""Messages of scalars, vectors and matrices: sums over the neighbors of an atom, and two derivatives of them.

Where weights, table, harmonics and features change, by ``change``, kernels return the change of what they return
without: of that the second derivative is made. Tuples ``given`` and ``change`` have, in this order, weights b (P, C),
table T (R, D, F), harmonics y (P, D D - 1) and features a (A, D, F), v (A, 3, F) and t (A, 5, F), of which v and t, and
the change of T, may be None; without a change all of it is. D is the number of degrees, 2 or 3.

Tiles have a row for each of COUNT pairs p, or edges, and a column for each feature f. ``valid`` (COUNT,) says which
pairs there are. Rows of the table, atoms i and j, and signs s of vectors are columns (COUNT, 1).
"""

# kernels have types when they are compiled, and tuples grow as they are
# mypy: allow-untyped-defs, allow-incomplete-defs, disable-error-code=assignment

import triton.language as tl

from pyg_nnp.kernels.gpu.aggregation import weight
from pyg_nnp.kernels.gpu.compiler import jit
from pyg_nnp.kernels.gpu.small_tensors import add, dot, load, scale


@jit
def numbers(x, at, valid):
    """Return integers, of which products with lengths do not overflow."""
    return tl.load(x + at, mask=valid, other=0).to(tl.int64)


@jit
def filters(given, change, degree: tl.constexpr, p, row, f, valid, C: tl.constexpr, D: tl.constexpr, F: tl.constexpr):
    """Return the filters of one degree, and their change; the filters twice, where nothing changes."""
    filled = valid[:, None] & (f < F)  # (COUNT, WIDTH)
    W = tl.zeros(filled.shape, given[1].dtype.element_ty)
    dW = W
    for n in tl.static_range(C):
        at = ((row + n) * D + degree) * F + f  # (COUNT, WIDTH)
        t = tl.load(given[1] + at, mask=filled, other=0)
        w = weight(given[0], p, n, valid, C)
        W += w * t
        if change[0] is not None:
            dW += weight(change[0], p, n, valid, C) * t  # (COUNT, WIDTH)
        if change[1] is not None:
            dW += w * tl.load(change[1] + at, mask=filled, other=0)
    if change[0] is None:
        dW = W
    return W, dW


@jit
def harmonics(y, degree: tl.constexpr, p, s, valid, D: tl.constexpr):
    """Return the 2 l + 1 harmonics of degree l, for the vectors times s."""
    found = ()
    for k in tl.static_range(degree * degree - 1, degree * degree + 2 * degree):
        h = tl.load(y + p * (D * D - 1) + k, mask=valid, other=0)[:, None]  # (COUNT, 1)
        if degree == 1:
            h = s * h
        found = found + (h,)  # noqa: RUF005
    return found


@jit
def sent(y, a, x, degree: tl.constexpr, p, s, j, f, valid, D: tl.constexpr, F: tl.constexpr):
    """Return what filters of one degree multiply in messages of the atoms j, y_l a_l + x_l; x may be None."""
    filled = valid[:, None] & (f < F)  # (COUNT, WIDTH)
    a_j = tl.load(a + (j * D + degree) * F + f, mask=filled, other=0)
    if degree == 0:
        z = (a_j,)
    else:
        z = scale(a_j, harmonics(y, degree, p, s, valid, D))
        if x is not None:
            z = add(z, load(x, j, f, filled, 2 * degree + 1, F))
    return z


@jit
def change_of_sent(given, change, degree: tl.constexpr, p, s, j, f, valid, D: tl.constexpr, F: tl.constexpr):
    """Return y_l da_l + dx_l + dy_l a_l, of the atoms j."""
    dz = sent(given[2], change[3], change[3 + degree], degree, p, s, j, f, valid, D, F)
    if degree > 0:
        dz = add(dz, sent(change[2], given[3], None, degree, p, s, j, f, valid, D, F))
    return dz


@jit
def _edges(rows, source, order, first, end, num_pairs, COUNT: tl.constexpr):
    """Return pairs, rows of the table, signs, sources and which there are, of the edges from ``first`` in ``order``."""
    k = first + tl.arange(0, COUNT)
    valid = k < end
    edge = numbers(order, k, valid)
    back = edge >= num_pairs
    p = tl.where(back, edge - num_pairs, edge)
    row, j = numbers(rows, p, valid)[:, None], numbers(source, edge, valid)[:, None]  # (COUNT, 1)
    return p, row, tl.where(back, -1.0, 1.0)[:, None], j, valid  # (COUNT,), (COUNT, 1), ...


@jit
def of_messages(
    b, T, y, a, v, t, db, dT, dy, da, dv, dt, rows, source, start, order, o0, o1, o2, num_pairs,
    C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    """Write the messages of each degree to an atom, or their change, (A, F), (A, 3, F) and (A, 5, F)."""
    given, change, out = (b, T, y, a, v, t), (db, dT, dy, da, dv, dt), (o0, o1, o2)
    i = tl.program_id(0).to(tl.int64)
    f = tl.arange(0, WIDTH)[None, :]  # (1, WIDTH)
    sums = (tl.zeros((COUNT, WIDTH), a.dtype.element_ty),) * (D * D)
    end = tl.load(start + i + 1)
    for first in range(tl.load(start + i), end, COUNT):
        p, row, s, j, valid = _edges(rows, source, order, first, end, num_pairs, COUNT)
        messages = ()
        for degree in tl.static_range(D):
            W, dW = filters(given, change, degree, p, row, f, valid, C, D, F)
            m = scale(dW, sent(y, a, given[3 + degree], degree, p, s, j, f, valid, D, F))
            if db is not None:
                m = add(m, scale(W, change_of_sent(given, change, degree, p, s, j, f, valid, D, F)))
            messages = messages + m
        sums = add(sums, messages)
    for degree in tl.static_range(D):
        for k in tl.static_range(2 * degree + 1):
            total = tl.sum(sums[degree * degree + k], axis=0)[None, :]  # (1, WIDTH)
            tl.store(out[degree] + (i * (2 * degree + 1) + k) * F + f, total, mask=f < F)


@jit
def of_features(
    b, T, y, a, v, t, db, dT, dy, da, dv, dt, g0, g1, g2, rows, source, start, order, of_a, of_v, of_t, num_pairs,
    C: tl.constexpr, D: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    """Write the derivatives of messages times g by the features of the atom that sent them, or their change."""
    given, change, g, out = (b, T, y, a, v, t), (db, dT, dy, da, dv, dt), (g0, g1, g2), (of_a, of_v, of_t)
    i = tl.program_id(0).to(tl.int64)
    f = tl.arange(0, WIDTH)[None, :]  # (1, WIDTH)
    # of each degree one by a, and by each component of x
    sums = (tl.zeros((COUNT, WIDTH), a.dtype.element_ty),) * (D * D + D)
    end = tl.load(start + i + 1)
    for first in range(tl.load(start + i), end, COUNT):
        # of the reversed edges, from i to j
        p, row, s, j, valid = _edges(rows, source, order, first, end, num_pairs, COUNT)
        added = ()
        for degree in tl.static_range(D):
            W, dW = filters(given, change, degree, p, row, f, valid, C, D, F)
            filled = valid[:, None] & (f < F)  # (COUNT, WIDTH)
            g_j = load(g[degree], j, f, filled, 2 * degree + 1, F)
            by_x = scale(dW, g_j)
            if degree == 0:
                by_a = by_x[0]
            else:
                by_a = dot(harmonics(y, degree, p, -s, valid, D), by_x)
                if db is not None:
                    by_a += W * dot(harmonics(dy, degree, p, -s, valid, D), g_j)
            added = added + (by_a,) + by_x  # noqa: RUF005
        sums = add(sums, added)
    for degree in tl.static_range(D):
        tl.store(of_a + (i * D + degree) * F + f, tl.sum(sums[degree * (degree + 1)], axis=0)[None, :], mask=f < F)
        if degree > 0 and out[degree] is not None:
            for k in tl.static_range(2 * degree + 1):
                total = tl.sum(sums[degree * (degree + 1) + 1 + k], axis=0)[None, :]  # (1, WIDTH)
                tl.store(out[degree] + (i * (2 * degree + 1) + k) * F + f, total, mask=f < F)
