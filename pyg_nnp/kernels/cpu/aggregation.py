"""Filters of pairs, and their sums over neighbors."""

import torch
from torch import Tensor

from pyg_nnp.kernels.cpu.aggregation_loops import AGGREGATE, DERIVATIVES, FIRST_DERIVATIVES, SORT_EDGES
from pyg_nnp.kernels.cpu.compiler import num_threads, run
from pyg_nnp.kernels.reference import Edges, Wanted


def sort_edges(edge_index: Tensor, num_atoms: int) -> tuple[Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.sort_edges`."""
    start, order = edge_index.new_zeros(num_atoms + 1), torch.empty_like(edge_index[1])  # (A + 1,), (2 P,)
    run(SORT_EDGES, edge_index[1], start, order)
    return start, order


def aggregate(
    weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, edge_index: Tensor, start: Tensor, order: Tensor
) -> Tensor:
    """See :func:`pyg_nnp.kernels.reference.aggregate`."""
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    run(AGGREGATE, weights, rows, table, x, edge_index[0], start, order, out, num_threads())
    return out


def derivatives(
    b: Tensor, c: Tensor, m: Tensor, T: Tensor, V: Tensor, x: Tensor, g: Tensor, U: Tensor, edges: Edges, wanted: Wanted
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.derivatives`."""
    edge_index, start, order = edges
    if tuple(wanted) == (True, False, False, True) and b.shape[1] == 6 and len(c) == len(V) == 0 < len(U):
        of_b, of_g = torch.empty_like(b), torch.empty_like(g)
        run(FIRST_DERIVATIVES, b, m, T, g, U, edge_index[0], start, order, of_b, of_g, num_threads())
        return of_b, T[:0], g[:0], of_g
    num_rows = len(T) if wanted[1] else 0
    of_b = torch.empty_like(b) if wanted[0] else b.new_empty(0, b.shape[1])  # (P, C)
    of_T = T.new_empty(num_threads() if wanted[1] else 0, num_rows, T.shape[1])  # (T, R, F), a table for each thread
    of_x, of_g = (g.new_empty(g.shape if wanted[n] else (0, g.shape[1])) for n in (2, 3))  # (A, F)
    run(DERIVATIVES, b, c, m, T, V, x, g, U, edge_index[0], start, order, of_b, of_T, of_x, of_g, num_threads())
    summed = of_T[0] if len(of_T) == 1 else of_T.sum(dim=0)  # (R, F), or (0, F) where it is not wanted
    return of_b, summed, of_x, of_g
