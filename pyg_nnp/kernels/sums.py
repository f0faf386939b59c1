"""Sums of the rows that belong to one molecule or one atom, in one order: two runs on a GPU have the same bits.

PyTorch's own sums there are atomic additions, in an order that depends on timing.
"""

from typing import Any, cast

import torch
from torch import Tensor

from pyg_nnp.functional import geometry
from pyg_nnp.kernels import reference
from pyg_nnp.kernels.backend import Cases, Family, Normal, example_edges, fast, register


def _cases(normal: Normal, device: torch.device) -> Cases:
    index = example_edges(device)[1]  # (16,)
    start, order = reference.sort_edges(index[None].expand(2, -1), 9)  # (10,), (16,)
    of_sorted = index.sort().values, start, order[:0]
    return [("sum_rows", (normal(16, K), *how)) for K in (1, 3) for how in ((index, start, order), of_sorted)]


# of their own, so that positions, in double precision, do not have all kernels compiled for it
SUMS = Family(reference, {"cuda": "pyg_nnp.kernels.gpu"}, _cases)


def sum_over_atoms(values: Tensor, batch: Tensor, num_molecules: int) -> Tensor:
    """Return (G, ...) sums of (A, ...) rows, from (A,) the molecule of each atom, one molecule after the other.

    G is given, since molecule numbers say nothing about empty molecules at the end.
    """
    if _is_plain(values):
        return geometry.sum_over_atoms(values, batch, num_molecules)
    rows = values.reshape(len(values), -1)  # (A, K)
    sums = cast(Tensor, _SUM_ROWS(rows, batch, *_of_sorted(batch, num_molecules)))  # (G, K)
    return sums.view(num_molecules, *values.shape[1:])  # (G, ...)


def sum_over_groups(values: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """Return (G, K) sums of (P, K) rows, from (P,) the group of each row, in any order."""
    if _is_plain(values):
        return geometry.sum_over_atoms(values, groups, num_groups)
    start, order = fast(values, SUMS).sort_edges(groups[None].expand(2, -1), num_groups)  # (G + 1,), (P,)
    return cast(Tensor, _SUM_ROWS(values, groups, start, order))  # (G, K)


def of_groups(values: Tensor, groups: Tensor) -> Tensor:
    """Return (P, K) for each row that of its group, of (G, K), from (P,) the group of each row, in any order."""
    if _is_plain(values):
        return values.index_select(0, groups)  # (P, K)
    start, order = fast(values, SUMS).sort_edges(groups[None].expand(2, -1), len(values))  # (G + 1,), (P,)
    return cast(Tensor, _TAKE_ROWS(values, groups, start, order))  # (P, K)


def of_molecules(values: Tensor, batch: Tensor) -> Tensor:
    """Return (A, ...) for each atom the row of its molecule, of (G, ...), from (A,) the molecule of each atom."""
    if _is_plain(values):
        return values.index_select(0, batch)  # (A, ...)
    rows = values.reshape(len(values), -1)  # (G, K)
    rows = cast(Tensor, _TAKE_ROWS(rows, batch, *_of_sorted(batch, len(values))))  # (A, K)
    return rows.view(len(batch), *values.shape[1:])  # (A, ...)


def sum_over_ends(values: Tensor, pair_index: Tensor, num_atoms: int) -> Tensor:
    """Return (A, K) sums of the (P, K) values of pairs, ``j, i = pair_index``, at the atoms i less those at j."""
    if _is_plain(values):
        j, i = pair_index[:, :, None].expand(-1, -1, values.shape[1])  # (2, P, K)
        # index_add takes ten times as long on a CPU
        zero = values.new_zeros(num_atoms, values.shape[1])  # (A, K)
        return zero.scatter_add(0, i, values).scatter_add(0, j, -values)
    edge_index = torch.cat((pair_index, pair_index.flip(0)), dim=1)  # (2, 2 P)
    start, order = fast(values, SUMS).sort_edges(edge_index, num_atoms)
    return cast(Tensor, _SUM_ROWS(torch.cat((values, -values)), edge_index[1], start, order))  # (A, K)


def _is_plain(values: Tensor) -> bool:
    """Say whether PyTorch's own sums do, as on a CPU, where they have one order."""
    return values.device.type != "cuda" or fast(values, SUMS) is reference


def _of_sorted(index: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return (S + 1,) where the rows of each of the S sums begin, and no order, as they are sorted."""
    return torch.searchsorted(index, torch.arange(size + 1, device=index.device)), index[:0]


def _sum_rows(values: Tensor, index: Tensor, start: Tensor, order: Tensor) -> Tensor:
    return cast(Tensor, fast(values, SUMS).sum_rows(values, index, start, order))


def _of_sums(ctx: Any, g: Tensor | None) -> tuple[Tensor | None, ...]:
    return None if g is None else _TAKE_ROWS(g, *ctx.saved_tensors[1:]), None, None, None


def _of_rows(ctx: Any, g: Tensor | None) -> tuple[Tensor | None, ...]:
    return None if g is None else _SUM_ROWS(g, *ctx.saved_tensors[1:]), None, None, None


_HOW = "Tensor index, Tensor start, Tensor order"
_SUM_ROWS = register(
    f"sum_rows(Tensor values, {_HOW}) -> Tensor",
    _sum_rows,
    lambda values, index, start, order: values.new_empty(len(start) - 1, values.shape[1]),  # (S, K)
    _of_sums,
)
_TAKE_ROWS = register(
    f"take_rows(Tensor values, {_HOW}) -> Tensor",
    lambda values, index, start, order: values.index_select(0, index),
    lambda values, index, start, order: values.new_empty(len(index), values.shape[1]),  # (N, K)
    _of_rows,
)
