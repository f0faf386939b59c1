"""The operators as torch sees them: with two derivatives, for losses on forces, and chosen by device.

Positions enter :func:`aggregate` through the weights alone. Its first and its second derivative are one operator each,
so that a pair's rows of the table are read once for all of it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

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


_LIBRARY = torch.library.Library("pyg_nnp", "DEF")  # type: ignore[no-untyped-call]
_Operator = Callable[..., Any]


def _register(name: str, function: _Operator, fake: _Operator, backward: _Operator) -> _Operator:
    """Make an operator of torch from a function, as ``torch.library.custom_op`` does, but cheap to call.

    Args:
        name: without the name space.
        function: what it computes.
        fake: shapes and types of what it returns.
        backward: its derivative, as of ``torch.autograd.Function``.
    """
    library: Any = _LIBRARY
    library.define(name + torch.library.infer_schema(function, mutates_args=()))
    library.impl(name, function, "CompositeExplicitAutograd")
    torch.library.register_fake(f"pyg_nnp::{name}", fake, lib=_LIBRARY)
    operator: _Operator = getattr(torch.ops.pyg_nnp, name).default

    def forward(ctx: Any, *inputs: Any) -> Any:
        ctx.save_for_backward(*[value for value in inputs if isinstance(value, Tensor)])
        ctx.others = [value for value in inputs if not isinstance(value, Tensor)]
        ctx.set_materialize_grads(False)
        with torch._C._AutoDispatchBelowAutograd():
            return operator(*inputs)

    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    differentiable: Any = type(f"pyg_nnp_{name}", (torch.autograd.Function,), methods)
    library.impl(name, differentiable.apply, "Autograd")
    return operator


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


def _aggregate(
    weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, edge_index: Tensor, start: Tensor, order: Tensor
) -> Tensor:
    return cast(Tensor, _fast(x).aggregate(weights, rows, table, x, edge_index, start, order))


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
    by_weights, by_table, _, by_x = _fast(x).derivatives(
        weights, weights[:0], rows, table, none, none, x, y, edge_index, start, order, wanted
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
    found = _fast(x).derivatives(
        weights, of_weights, rows, table, of_table, x, y, of_x, edge_index, start, order, wanted
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
    if _fast(x) is reference:  # plain torch has its own derivatives
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
    of_weights, _, of_table, of_x, *_ = wanted = _wanted(ctx)
    by_weights, by_table, by_x = _AGGREGATE_BACKWARD(y, *ctx.saved_tensors, of_weights, of_table, of_x)
    found = by_weights, None, by_table, by_x
    return *[value if asked else None for value, asked in zip(found, wanted, strict=False)], None, None, None


def _of_aggregate_backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
    # positions in the graph: y, weights, rows, table, x
    saved = ctx.saved_tensors
    absent = saved[1][:0], saved[3][:0], saved[4][:0]
    given = [none if cotangent is None else cotangent for cotangent, none in zip(cotangents, absent, strict=True)]
    by_y, by_weights, _, by_table, by_x, *_ = wanted = _wanted(ctx)
    of_weights, of_table, of_x, of_y = _AGGREGATE_DOUBLE_BACKWARD(*given, *saved, by_y, by_weights, by_table, by_x)
    found = of_y, of_weights, None, of_table, of_x
    return *[value if asked else None for value, asked in zip(found, wanted, strict=False)], *[None] * 6


def _refuse(ctx: Any, *_: Tensor | None) -> Any:
    raise NotImplementedError("the operators of pyg_nnp have two derivatives, and a third was asked for")


_AGGREGATE_DOUBLE_BACKWARD = _register(
    "aggregate_double_backward", _aggregate_double_backward, _fake_aggregate_double_backward, _refuse
)
_AGGREGATE_BACKWARD = _register(
    "aggregate_backward", _aggregate_backward, _fake_aggregate_backward, _of_aggregate_backward
)
_AGGREGATE = _register("aggregate", _aggregate, _fake_aggregate, _of_aggregate)


def _potential(
    q: Tensor, Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> Tensor:
    return cast(Tensor, _fast(q).coulomb_potential(q, Ra, start, flavor, cutoff_sr, shielding, cutoff_lr))


def _gradient(
    g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, flavor: str, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> Tensor:
    return cast(Tensor, _fast(q).coulomb_gradient(g, q, Ra, start, flavor, cutoff_sr, shielding, cutoff_lr))


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
    return cast(Tensor, _POTENTIAL(*arguments))


def _fake_potential(q: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(q)


def _fake_gradient(g: Tensor, q: Tensor, Ra: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(Ra)


def _fake_gradient_backward(u: Tensor, g: Tensor, q: Tensor, Ra: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(g), torch.empty_like(q), torch.empty_like(Ra) if rest[-1] else Ra.new_empty(0, 3)


def _of_potential(ctx: Any, g: Tensor | None) -> tuple[Tensor | None, ...]:
    if g is None:
        return (None,) * 7
    q, Ra, start = ctx.saved_tensors
    of_q, of_Ra, *_ = _wanted(ctx)
    return (
        _POTENTIAL(g, Ra, start, *ctx.others) if of_q else None,
        _GRADIENT(g, q, Ra, start, *ctx.others) if of_Ra else None,
        *[None] * 5,
    )


def _of_gradient(ctx: Any, u: Tensor | None) -> tuple[Tensor | None, ...]:
    if u is None:
        return (None,) * 8
    g, q, Ra, start = ctx.saved_tensors
    of_g, of_q, of_Ra, *_ = _wanted(ctx)
    by_g, by_q, by_Ra = _GRADIENT_BACKWARD(u, g, q, Ra, start, *ctx.others, of_Ra)
    return by_g if of_g else None, by_q if of_q else None, by_Ra if of_Ra else None, *[None] * 5


_GRADIENT_BACKWARD = _register("coulomb_gradient_backward", _gradient_backward, _fake_gradient_backward, _refuse)
_GRADIENT = _register("coulomb_gradient", _gradient, _fake_gradient, _of_gradient)
_POTENTIAL = _register("coulomb_potential", _potential, _fake_potential, _of_potential)
