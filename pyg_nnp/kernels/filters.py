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


def _aggregate(
    weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, edge_index: Tensor, start: Tensor, order: Tensor
) -> Tensor:
    return cast(Tensor, fast(x).aggregate(weights, rows, table, x, edge_index, start, order))


def _aggregate_backward(
    y: Tensor,
    weights: Tensor,
    rows: Tensor,
    table: Tensor,
    x: Tensor,
    edge_index: Tensor,
    start: Tensor,
    order: Tensor,
    of_weights: bool,
    of_table: bool,
    of_x: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    none, wanted = x[:0], (of_weights, of_table, False, of_x)
    by_weights, by_table, _, by_x = fast(x).derivatives(
        weights, weights[:0], rows, table, none, none, x, y, (edge_index, start, order), wanted
    )
    return by_weights, by_table, by_x


def _aggregate_double_backward(
    of_weights: Tensor,
    of_table: Tensor,
    of_x: Tensor,
    y: Tensor,
    weights: Tensor,
    rows: Tensor,
    table: Tensor,
    x: Tensor,
    edge_index: Tensor,
    start: Tensor,
    order: Tensor,
    by_y: bool,
    by_weights: bool,
    by_table: bool,
    by_x: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    wanted = by_weights, by_table, by_x, by_y
    found = fast(x).derivatives(
        weights, of_weights, rows, table, of_table, x, y, of_x, (edge_index, start, order), wanted
    )
    return cast(tuple[Tensor, Tensor, Tensor, Tensor], found)


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


def _fake_aggregate(weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, *_: Tensor) -> Tensor:
    return torch.empty_like(x)


def _empty(values: tuple[Tensor, ...], wanted: tuple[bool, ...]) -> list[Tensor]:
    return [torch.empty_like(value if asked else value[:0]) for value, asked in zip(values, wanted, strict=True)]


def _fake_aggregate_backward(
    y: Tensor, weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    first, second, third = _empty((weights, table, x), rest[3:])
    return first, second, third


def _fake_aggregate_double_backward(
    c: Tensor, V: Tensor, U: Tensor, y: Tensor, weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    by_y, by_weights, by_table, by_x = rest[3:]
    first, second, third, fourth = _empty((weights, table, x, y), (by_weights, by_table, by_x, by_y))
    return first, second, third, fourth


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


_AGGREGATE_DOUBLE_BACKWARD = register(
    "aggregate_double_backward", _aggregate_double_backward, _fake_aggregate_double_backward, refuse
)
_AGGREGATE_BACKWARD = register(
    "aggregate_backward", _aggregate_backward, _fake_aggregate_backward, _of_aggregate_backward
)
_AGGREGATE = register("aggregate", _aggregate, _fake_aggregate, _of_aggregate)
