"""Filters of pairs, and their sums over neighbours, with two derivatives, for losses on forces.

Positions enter :func:`aggregate` through the weights alone. Its first and its second derivative are one operator each,
so that a pair's rows of the table are read once for all of it.
"""

from typing import Any, cast

import torch
from torch import Tensor

from pyg_nnp.kernels import reference
from pyg_nnp.kernels.backend import asked_for, backend, fast, refuse, register
from pyg_nnp.kernels.reference import Edges, Filters


def sort_edges(edge_index: Tensor, num_atoms: int, dtype: torch.dtype) -> Edges:
    """Sort edges by target; ``dtype`` is that of the numbers that will be aggregated."""
    return Edges(edge_index, *backend(edge_index.device.type, dtype).sort_edges(edge_index, num_atoms))


def aggregate(filters: Filters, x: Tensor, edges: Edges) -> Tensor:
    r"""Continuous-filter aggregation, :math:`A_i = \sum_{p = (i, j)} W_p \circ x_j`.

    Source: eq. 1 of SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566.

    Args:
        filters: of the P pairs.
        x: (A, F) features.
        edges: of the P pairs.

    Returns:
        (A, F)
    """
    if fast(x) is reference:  # plain torch has its own derivatives
        return reference.aggregate(*filters, x, *edges)
    return cast(Tensor, _AGGREGATE(*filters, x, *edges))


def _aggregate(weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, *edges: Tensor) -> Tensor:
    return cast(Tensor, fast(x).aggregate(weights, rows, table, x, *edges))


def _aggregate_backward(
    y: Tensor, weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, *rest: Any
) -> tuple[Tensor, ...]:
    none, edges, (of_weights, of_table, of_x) = x[:0], rest[:3], rest[3:]
    wanted = of_weights, of_table, False, of_x
    found = fast(x).derivatives(weights, weights[:0], rows, table, none, none, x, y, edges, wanted)
    return found[0], found[1], found[3]


def _aggregate_double_backward(
    c: Tensor, V: Tensor, U: Tensor, y: Tensor, weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, *rest: Any
) -> tuple[Tensor, ...]:
    edges, (by_y, by_weights, by_table, by_x) = rest[:3], rest[3:]
    wanted = by_weights, by_table, by_x, by_y
    return cast(tuple[Tensor, ...], fast(x).derivatives(weights, c, rows, table, V, x, y, U, edges, wanted))


def _empty(values: tuple[Tensor, ...], wanted: tuple[bool, ...]) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(value if asked else value[:0]) for value, asked in zip(values, wanted, strict=True))


def _empty_second(*arguments: Any) -> tuple[Tensor, ...]:
    *_, y, weights, _, table, x = arguments[:8]
    by_y, *by_others = arguments[11:]
    return _empty((weights, table, x, y), (*by_others, by_y))


def _of_aggregate(ctx: Any, y: Tensor | None) -> tuple[Tensor | None, ...]:
    if y is None:
        return (None,) * 7
    of_weights, _, of_table, of_x, *_ = wanted = asked_for(ctx)
    by_weights, by_table, by_x = _AGGREGATE_BACKWARD(y, *ctx.saved_tensors, of_weights, of_table, of_x)
    found = by_weights, None, by_table, by_x
    return *[value if asked else None for value, asked in zip(found, wanted, strict=False)], None, None, None


def _of_aggregate_backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
    # positions in the graph: y, weights, rows, table, x
    saved = ctx.saved_tensors
    absent = saved[1][:0], saved[3][:0], saved[4][:0]
    given = [none if cotangent is None else cotangent for cotangent, none in zip(cotangents, absent, strict=True)]
    by_y, by_weights, _, by_table, by_x, *_ = wanted = asked_for(ctx)
    of_weights, of_table, of_x, of_y = _AGGREGATE_DOUBLE_BACKWARD(*given, *saved, by_y, by_weights, by_table, by_x)
    found = of_y, of_weights, None, of_table, of_x
    return *[value if asked else None for value, asked in zip(found, wanted, strict=False)], *[None] * 6


_GIVEN = "Tensor weights, Tensor rows, Tensor table, Tensor x, Tensor edge_index, Tensor start, Tensor order"
_AGGREGATE_DOUBLE_BACKWARD = register(
    f"aggregate_double_backward(Tensor c, Tensor V, Tensor U, Tensor y, {_GIVEN}, bool by_y, bool by_weights, "
    "bool by_table, bool by_x) -> (Tensor, Tensor, Tensor, Tensor)",
    _aggregate_double_backward,
    _empty_second,
    refuse,
)
_AGGREGATE_BACKWARD = register(
    f"aggregate_backward(Tensor y, {_GIVEN}, bool of_weights, bool of_table, bool of_x) -> (Tensor, Tensor, Tensor)",
    _aggregate_backward,
    lambda y, weights, rows, table, x, *rest: _empty((weights, table, x), rest[3:]),
    _of_aggregate_backward,
)
_AGGREGATE = register(
    f"aggregate({_GIVEN}) -> Tensor", _aggregate, lambda *given: torch.empty_like(given[3]), _of_aggregate
)
