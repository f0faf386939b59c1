"""Filters of pairs, and their sums over neighbours."""

# kernels have types when they are compiled
# mypy: allow-untyped-defs, allow-incomplete-defs

import torch
import triton
import triton.language as tl
from torch import Tensor

from pyg_nnp.kernels.gpu.compiler import jit, run
from pyg_nnp.kernels.reference import Edges, Wanted


@jit
def weight(b, p, n: tl.constexpr, valid, C: tl.constexpr):
    """Return (COUNT, 1) what row n of pairs is multiplied with, in its difference and in that of the next row."""
    w = tl.load(b + p * C + n, mask=valid, other=0)
    if n + 1 < C:
        w -= tl.load(b + p * C + n + 1, mask=valid, other=0)
    return w[:, None]  # (COUNT, 1)


@jit
def difference(T, at, size, filled, n: tl.constexpr):
    """Return (COUNT, WIDTH) differences of row n of pairs to the row before, ``size`` numbers before; the first row."""
    t = tl.load(T + at, mask=filled, other=0)
    if n > 0:
        t -= tl.load(T + at - size, mask=filled, other=0)
    return t


@jit
def _of_features(
    b, c, rows, T, V, x, g, U, source, start, order, of_x, of_g, num_pairs,
    C: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64)
    f = tl.arange(0, WIDTH)[None, :]  # (1, WIDTH)
    zero = tl.zeros((COUNT, WIDTH), g.dtype.element_ty)
    sum_x, sum_g = zero, zero
    end = tl.load(start + i + 1)
    for first in range(tl.load(start + i), end, COUNT):
        k = first + tl.arange(0, COUNT)
        valid = k < end
        filled = valid[:, None] & (f < F)  # (COUNT, WIDTH)
        edge = tl.load(order + k, mask=valid, other=0)
        p = tl.where(edge < num_pairs, edge, edge - num_pairs)
        j = tl.load(source + edge, mask=valid, other=0)[:, None] * F + f  # (COUNT, WIDTH)
        row = tl.load(rows + p, mask=valid, other=0)
        W_b, W_c = zero, zero
        for n in tl.static_range(C):
            at = (row + n)[:, None] * F + f  # (COUNT, WIDTH)
            t = tl.load(T + at, mask=filled, other=0)
            b_n = weight(b, p, n, valid, C)
            W_b += b_n * t
            if c is not None:
                W_c += weight(c, p, n, valid, C) * t  # (COUNT, WIDTH)
            if V is not None:
                W_c += b_n * tl.load(V + at, mask=filled, other=0)
        if c is not None or V is not None:
            if of_x is not None:
                sum_x += W_c * tl.load(g + j, mask=filled, other=0)
            if of_g is not None:
                sum_g += W_c * tl.load(x + j, mask=filled, other=0)
        if U is not None and of_g is not None:
            sum_g += W_b * tl.load(U + j, mask=filled, other=0)
    if of_x is not None:
        tl.store(of_x + i * F + f, tl.sum(sum_x, axis=0)[None, :], mask=f < F)
    if of_g is not None:
        tl.store(of_g + i * F + f, tl.sum(sum_g, axis=0)[None, :], mask=f < F)


@jit
def _products(x, y, source, target, p, valid, f, F: tl.constexpr):
    """Return x_i y_j + x_j y_i of the pairs p, 0 where there is none."""
    i = tl.load(target + p, mask=valid, other=0)[:, None] * F + f  # (COUNT, WIDTH)
    j = tl.load(source + p, mask=valid, other=0)[:, None] * F + f  # (COUNT, WIDTH)
    filled = valid[:, None] & (f < F)  # (COUNT, WIDTH)
    x_i, x_j = tl.load(x + i, mask=filled, other=0), tl.load(x + j, mask=filled, other=0)
    y_i, y_j = tl.load(y + i, mask=filled, other=0), tl.load(y + j, mask=filled, other=0)
    return x_i * y_j + x_j * y_i


@jit
def _of_weights(
    rows, T, V, x, g, U, source, target, of_b, num_pairs,
    C: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0).to(tl.int64) * COUNT + tl.arange(0, COUNT)
    f = tl.arange(0, WIDTH)[None, :]  # (1, WIDTH)
    valid = p < num_pairs
    filled = valid[:, None] & (f < F)  # (COUNT, WIDTH)
    row = tl.load(rows + p, mask=valid, other=0)
    if U is not None:
        v_U = _products(g, U, source, target, p, valid, f, F)
    if V is not None:
        v_x = _products(x, g, source, target, p, valid, f, F)
    for n in tl.static_range(C):
        at = (row + n)[:, None] * F + f  # (COUNT, WIDTH)
        total = tl.zeros((COUNT, WIDTH), g.dtype.element_ty)
        if U is not None:
            total += difference(T, at, F, filled, n) * v_U
        if V is not None:
            total += difference(V, at, F, filled, n) * v_x
        tl.store(of_b + p * C + n, tl.sum(total, axis=1), mask=valid)


@jit
def _of_table(
    b, c, rows, x, g, U, source, target, start, order, of_T,
    C: tl.constexpr, PARTS: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    r, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    f = tl.arange(0, WIDTH)[None, :]  # (1, WIDTH)
    total = tl.zeros((COUNT, WIDTH), g.dtype.element_ty)
    end = tl.load(start + r + 1)
    for first in range(tl.load(start + tl.maximum(r - C + 1, 0)) + part * COUNT, end, PARTS * COUNT):
        k = first + tl.arange(0, COUNT)
        valid = k < end
        p = tl.load(order + k, mask=valid, other=0)
        n = r - tl.load(rows + p, mask=valid, other=0)
        at, more = p * C + n, valid & (n + 1 < C)
        if U is not None:
            w = tl.load(b + at, mask=valid, other=0) - tl.load(b + at + 1, mask=more, other=0)
            total += w[:, None] * _products(g, U, source, target, p, valid, f, F)  # (COUNT, WIDTH)
        if c is not None:
            w = tl.load(c + at, mask=valid, other=0) - tl.load(c + at + 1, mask=more, other=0)
            total += w[:, None] * _products(x, g, source, target, p, valid, f, F)  # (COUNT, WIDTH)
    tl.store(of_T + (tl.num_programs(0) * part + r) * F + f, tl.sum(total, axis=0)[None, :], mask=f < F)


@jit
def _sums(values, start, order, out, K: tl.constexpr, WIDTH: tl.constexpr, COUNT: tl.constexpr):
    s = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, WIDTH)[None, :]  # (1, WIDTH)
    total = tl.zeros((COUNT, WIDTH), values.dtype.element_ty)
    end = tl.load(start + s + 1)
    for first in range(tl.load(start + s), end, COUNT):
        n = first + tl.arange(0, COUNT)
        valid = n < end
        row = n if order is None else tl.load(order + n, mask=valid, other=0)
        total += tl.load(values + row[:, None] * K + k, mask=valid[:, None] & (k < K), other=0)  # (COUNT, WIDTH)
    tl.store(out + s * K + k, tl.sum(total, axis=0)[None, :], mask=k < K)


def _tile(F: int) -> dict[str, int]:
    """Return how many features, and pairs at a time, fill the registers of a program."""
    width = triton.next_power_of_2(F)
    return {"F": F, "WIDTH": width, "COUNT": min(max(1024 // width, 1), 16)}


def sort_keys(keys: Tensor, num_keys: int) -> tuple[Tensor, Tensor]:
    """Return (K + 1,) where each of the K keys begins in the sorted ones, and the order."""
    # half as many bits take half as long to sort; nothing is counted, as a count is waited for
    ordered, order = torch.sort(keys.int(), stable=True)
    return torch.searchsorted(ordered, torch.arange(num_keys + 1, dtype=torch.int32, device=keys.device)), order


def sort_edges(edge_index: Tensor, num_atoms: int) -> tuple[Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.sort_edges`."""
    return sort_keys(edge_index[1], num_atoms)


def sum_rows(values: Tensor, index: Tensor, start: Tensor, order: Tensor) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.sum_rows`."""
    size, K = len(start) - 1, values.shape[1]
    out = values.new_empty(size, K)  # (S, K)
    how = {"K": K, "WIDTH": triton.next_power_of_2(K), "COUNT": 32, "num_warps": 1}
    run(_sums, (size,), values, start, order if len(order) else None, out, **how)
    return out


def aggregate(
    weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, edge_index: Tensor, start: Tensor, order: Tensor
) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.aggregate`."""
    # linear in g, <A(b, T, U), g> has A as its derivative by g
    none, edges, wanted = x[:0], Edges(edge_index, start, order), (False, False, False, True)
    return derivatives(weights, weights[:0], rows, table, none, x, x, x, edges, wanted)[3]


def derivatives(
    b: Tensor, c: Tensor, m: Tensor, T: Tensor, V: Tensor, x: Tensor, g: Tensor, U: Tensor, edges: Edges, wanted: Wanted
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.derivatives`."""
    edge_index, start, order = edges
    (num_pairs, C), F = b.shape, g.shape[1]
    tile = _tile(F)
    # for what is None nothing is compiled
    c_, V_, U_ = (value if len(value) else None for value in (c, V, U))
    of_b = b.new_empty(num_pairs if wanted[0] else 0, C)  # (P, C)
    if wanted[0]:
        grid = (triton.cdiv(num_pairs, tile["COUNT"]),)
        run(_of_weights, grid, m, T, V_, x, g, U_, *edge_index, of_b, num_pairs, C=C, **tile)
    # the rows of a spline are few and have many pairs each, which as many programs share
    parts = 8 if C > 1 else 1
    of_T = T.new_empty(parts, len(T) if wanted[1] else 0, F)  # (PARTS, R, F)
    if wanted[1]:
        arguments = b, c_, m, x, g, U_, *edge_index, *sort_keys(m, len(T)), of_T
        run(_of_table, (len(T), parts), *arguments, C=C, PARTS=parts, **tile)
    of_x, of_g = (g.new_empty(len(g) if asked else 0, F) for asked in wanted[2:])  # (A, F)
    if wanted[2] or wanted[3]:
        outputs = of_x if wanted[2] else None, of_g if wanted[3] else None
        arguments = b, c_, m, T, V_, x, g, U_, edge_index[0], start, order, *outputs, num_pairs
        run(_of_features, (len(g),), *arguments, C=C, **tile)
    return of_b, of_T.sum(dim=0) if parts > 1 else of_T[0], of_x, of_g  # (P, C), (R, F), (A, F), (A, F)
