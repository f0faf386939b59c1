"""The operators as torch sees them: with derivatives, and chosen by device.

:func:`aggregate`, :func:`weights_gradient` and :func:`table_gradient` are linear in each of their arguments, and the
derivative of each is made of the other two, so they can be differentiated any number of times. Positions enter through
the weights alone.
"""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.library import custom_op

from pyg_nnp.functional.coulomb import Flavor
from pyg_nnp.kernels import reference
from pyg_nnp.kernels.backend import backend


class Filters(NamedTuple):
    r"""The filters of P pairs, :math:`W_p = \sum_c b_{pc} T_{m_p + c}`.

    Attributes:
        weights: (P, C) the b.
        rows: (P,) the m.
        table: (R, F) the T.
    """

    weights: Tensor
    rows: Tensor
    table: Tensor


class Edges(NamedTuple):
    """Edges j -> i, P pairs and then the same pairs reversed, and their order by target.

    Attributes:
        edge_index: (2, 2 P) sources and targets.
        start: (A + 1,) where the edges of each target begin in ``order``.
        order: (2 P,) numbers of the edges, sorted by target.
    """

    edge_index: Tensor
    start: Tensor
    order: Tensor


def sort_edges(edge_index: Tensor, num_atoms: int, dtype: torch.dtype) -> Edges:
    """Sort edges by target; ``dtype`` is that of the numbers that will be aggregated."""
    return Edges(edge_index, *backend(edge_index.device.type, dtype).sort_edges(edge_index, num_atoms))


def _wanted(ctx: Any) -> list[bool]:
    """Say for which inputs the gradient is really asked for in this backward pass.

    ``needs_input_grad`` says that it could be. Forces need no gradients of weights, and a loss none of positions.
    """

    def executes(node: Any) -> bool:
        try:
            return torch._C._will_engine_execute_node(node)
        except (AttributeError, RuntimeError):  # not told for leaves in autograd.grad
            return True

    nodes = ctx.next_functions
    return [node is not None and executes(node) for node, _ in nodes]


def _fast(x: Tensor) -> Any:
    return backend(x.device.type, x.dtype)


@custom_op("pyg_nnp::aggregate", mutates_args=())
def _aggregate(
    weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, edge_index: Tensor, start: Tensor, order: Tensor
) -> Tensor:
    return cast(Tensor, _fast(x).aggregate(weights, rows, table, x, edge_index, start, order))


@custom_op("pyg_nnp::weights_gradient", mutates_args=())
def _weights_gradient(
    rows: Tensor,
    table: Tensor,
    x: Tensor,
    y: Tensor,
    edge_index: Tensor,
    start: Tensor,
    order: Tensor,
    num_weights: int,
) -> Tensor:
    return cast(Tensor, _fast(x).weights_gradient(rows, table, x, y, edge_index, num_weights))


@custom_op("pyg_nnp::table_gradient", mutates_args=())
def _table_gradient(
    weights: Tensor,
    rows: Tensor,
    x: Tensor,
    y: Tensor,
    edge_index: Tensor,
    start: Tensor,
    order: Tensor,
    num_rows: int,
) -> Tensor:
    return cast(Tensor, _fast(x).table_gradient(weights, rows, x, y, edge_index, num_rows))


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
    if _fast(x) is reference:  # plain torch has its own derivatives
        return reference.aggregate(*filters, x, *edges)
    return _aggregate(*filters, x, *edges)  # type: ignore[no-any-return]


def weights_gradient(filters: Filters, x: Tensor, y: Tensor, edges: Edges) -> Tensor:
    r"""Return (P, C), :math:`\sum_f T_{m_p + c} \circ (x_i \circ y_j + x_j \circ y_i)`, whatever the weights are.

    It is the gradient of :math:`\langle A(x), y \rangle` with respect to the weights of :func:`aggregate`.
    """
    weights, rows, table = filters
    return _weights_gradient(rows, table, x, y, *edges, weights.shape[1])  # type: ignore[no-any-return]


def table_gradient(filters: Filters, x: Tensor, y: Tensor, edges: Edges) -> Tensor:
    r"""Return (R, F), :math:`b_{pc} (x_i \circ y_j + x_j \circ y_i)` of all pairs added up at row m_p + c of a table.

    It is the gradient of :math:`\langle A(x), y \rangle` with respect to the table of :func:`aggregate`.
    """
    weights, rows, table = filters
    return _table_gradient(weights, rows, x, y, *edges, len(table))  # type: ignore[no-any-return]


@_aggregate.register_fake
def _(weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, *_: Tensor) -> Tensor:
    return torch.empty_like(x)


@_weights_gradient.register_fake
def _(rows: Tensor, table: Tensor, x: Tensor, *rest: Any) -> Tensor:
    return x.new_empty(rows.shape[0], rest[-1])


@_table_gradient.register_fake
def _(weights: Tensor, rows: Tensor, x: Tensor, *rest: Any) -> Tensor:
    return x.new_empty(rest[-1], x.shape[1])


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(*[value for value in inputs if isinstance(value, Tensor)])
    ctx.others = [value for value in inputs if not isinstance(value, Tensor)]


def _aggregate_backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    weights, rows, table, x, *rest = ctx.saved_tensors
    filters, edges = Filters(weights, rows, table), Edges(*rest)
    of_weights, _, of_table, of_x, *_ = _wanted(ctx)
    return (
        weights_gradient(filters, x, g, edges) if of_weights else None,
        None,
        table_gradient(filters, x, g, edges) if of_table else None,
        aggregate(filters, g, edges) if of_x else None,
        *[None] * 3,
    )


def _weights_gradient_backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    rows, table, x, y, *rest = ctx.saved_tensors
    filters, edges = Filters(g, rows, table), Edges(*rest)
    _, of_table, of_x, of_y, *_ = _wanted(ctx)
    return (
        None,
        table_gradient(filters, x, y, edges) if of_table else None,
        aggregate(filters, y, edges) if of_x else None,
        aggregate(filters, x, edges) if of_y else None,
        *[None] * 4,
    )


def _table_gradient_backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    weights, rows, x, y, *rest = ctx.saved_tensors
    filters, edges = Filters(weights, rows, g), Edges(*rest)
    of_weights, _, of_x, of_y, *_ = _wanted(ctx)
    return (
        weights_gradient(filters, x, y, edges) if of_weights else None,
        None,
        aggregate(filters, y, edges) if of_x else None,
        aggregate(filters, x, edges) if of_y else None,
        *[None] * 4,
    )


_aggregate.register_autograd(_aggregate_backward, setup_context=_save)
_weights_gradient.register_autograd(_weights_gradient_backward, setup_context=_save)
_table_gradient.register_autograd(_table_gradient_backward, setup_context=_save)


@custom_op("pyg_nnp::coulomb_potential", mutates_args=())
def _potential(
    q: Tensor, Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> Tensor:
    return cast(Tensor, _fast(q).coulomb_potential(q, Ra, start, flavor, cutoff_sr, shielding, cutoff_lr))


@custom_op("pyg_nnp::coulomb_gradient", mutates_args=())
def _gradient(
    g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> Tensor:
    return cast(Tensor, _fast(q).coulomb_gradient(g, q, Ra, start, flavor, cutoff_sr, shielding, cutoff_lr))


@custom_op("pyg_nnp::coulomb_gradient_backward", mutates_args=())
def _gradient_backward(
    u: Tensor,
    g: Tensor,
    q: Tensor,
    Ra: Tensor,
    start: Tensor,
    flavor: str,
    cutoff_sr: float,
    shielding: float,
    cutoff_lr: float,
    curvature: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    how = flavor, cutoff_sr, shielding, cutoff_lr, curvature
    return cast(tuple[Tensor, Tensor, Tensor], _fast(q).coulomb_gradient_backward(u, g, q, Ra, start, *how))


def coulomb_potential(
    q: Tensor,
    Ra: Tensor,
    start: Tensor,
    flavor: Flavor,
    cutoff_sr: float,
    shielding: float,
    cutoff_lr: float | None,
) -> Tensor:
    r"""Damped Coulomb potential of all charges of a molecule, :math:`V_i = \sum_{j \neq i} q_j \chi(r_{ij})`.

    It needs no list of pairs and can be differentiated twice. For :math:`\chi` see
    :func:`pyg_nnp.functional.coulomb.damped_coulomb` and, with ``cutoff_lr``,
    :func:`pyg_nnp.functional.coulomb.shifted_force`.

    Args:
        q: (A,) charges.
        Ra: (A, 3) positions.
        start: (G + 1,) where the atoms of each molecule begin, and their number.
        flavor: see there, as the following.
        cutoff_sr: in the unit of ``Ra``.
        shielding: in the unit of ``Ra``.
        cutoff_lr: in the unit of ``Ra``, or none.

    Returns:
        (A,) in the unit of ``q`` over that of ``Ra``.
    """
    # an operator has no optional numbers
    arguments = q, Ra, start, flavor, cutoff_sr, shielding, cutoff_lr or 0.0
    if _fast(q) is reference:
        return reference.coulomb_potential(*arguments)
    return _potential(*arguments)  # type: ignore[no-any-return]


@_potential.register_fake
def _(q: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(q)


@_gradient.register_fake
def _(g: Tensor, q: Tensor, Ra: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(Ra)


@_gradient_backward.register_fake
def _(u: Tensor, g: Tensor, q: Tensor, Ra: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(g), torch.empty_like(q), torch.empty_like(Ra) if rest[-1] else Ra.new_empty(0, 3)


def _potential_backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    q, Ra, start = ctx.saved_tensors
    of_q, of_Ra, *_ = _wanted(ctx)
    return (
        _potential(g, Ra, start, *ctx.others) if of_q else None,
        _gradient(g, q, Ra, start, *ctx.others) if of_Ra else None,
        *[None] * 5,
    )


def _gradient_backward_of(ctx: Any, u: Tensor) -> tuple[Tensor | None, ...]:
    g, q, Ra, start = ctx.saved_tensors
    of_g, of_q, of_Ra, *_ = _wanted(ctx)
    by_g, by_q, by_Ra = _gradient_backward(u, g, q, Ra, start, *ctx.others, of_Ra)
    return by_g if of_g else None, by_q if of_q else None, by_Ra if of_Ra else None, *[None] * 5


_potential.register_autograd(_potential_backward, setup_context=_save)
_gradient.register_autograd(_gradient_backward_of, setup_context=_save)
