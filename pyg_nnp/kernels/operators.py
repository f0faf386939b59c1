"""The operators over pairs, with two derivatives, for losses on forces: sums over neighbors, Coulomb, activation.

Positions enter :func:`aggregate` through the weights alone. Its first and its second derivative are one operator each,
so that a pair's rows of the table are read once for all of it.
"""

from typing import Any, cast

import torch
from torch import Tensor

from pyg_nnp.functional.coulomb import Flavor
from pyg_nnp.kernels import reference
from pyg_nnp.kernels.backend import asked_for, backend, fast, refuse, register
from pyg_nnp.kernels.reference import Edges, Filters


def sort_edges(edge_index: Tensor, num_atoms: int, dtype: torch.dtype) -> Edges:
    """Sort edges by target; ``dtype`` is that of the numbers that will be aggregated."""
    module = reference if torch._C._is_tracing() else backend(edge_index.device.type, dtype)
    return Edges(edge_index, *module.sort_edges(edge_index, num_atoms))


def aggregate(filters: Filters, x: Tensor, edges: Edges) -> Tensor:
    r"""Continuous-filter aggregation, :math:`A_i = \sum_{p = (i, j)} W_p \circ x_j`.

    Source: eq. 1 of SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566.

    Returns:
        (A, F), from filters and edges of P pairs and (A, F) features.
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


_INTERACTION = "Tensor q, Tensor Ra, Tensor start, str flavor, float cutoff_sr, float shielding, float cutoff_lr"


def coulomb_potential(
    q: Tensor, Ra: Tensor, start: Tensor, flavor: Flavor, cutoff_sr: float, shielding: float, cutoff_lr: float | None
) -> Tensor:
    r"""Damped Coulomb potential of all charges of a molecule, :math:`V_i = \sum_{j \neq i} q_j \chi(r_{ij})`.

    It needs no list of pairs and can be differentiated twice. For :math:`\chi` see
    :func:`pyg_nnp.functional.coulomb.damped_coulomb` and, with ``cutoff_lr``,
    :func:`pyg_nnp.functional.coulomb.shifted_force`.

    Charges and potential are (A,), positions (A, 3), in the unit of all lengths; the atoms of each molecule begin at
    (G + 1,) ``start``, which ends with their number.
    """
    # an operator has no optional numbers
    damping = flavor, cutoff_sr, shielding, cutoff_lr or 0.0
    if fast(q) is reference:
        return reference.coulomb_potential(q, Ra, start, damping)
    return cast(Tensor, _POTENTIAL(q, Ra, start, *damping))


def _potential(q: Tensor, Ra: Tensor, start: Tensor, *damping: Any) -> Tensor:
    return cast(Tensor, fast(q).coulomb_potential(q, Ra, start, damping))


def _gradient(g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, *damping: Any) -> Tensor:
    return cast(Tensor, fast(q).coulomb_gradient(g, q, Ra, start, damping))


def _gradient_backward(u: Tensor, g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, *how: Any) -> tuple[Tensor, ...]:
    return cast(tuple[Tensor, ...], fast(q).coulomb_gradient_backward(u, g, q, Ra, start, how[:-1], how[-1]))


def _empty_gradients(u: Tensor, g: Tensor, q: Tensor, Ra: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    of_Ra = torch.empty_like(Ra) if rest[-1] else Ra.new_empty(0, 3)  # (A, 3)
    return torch.empty_like(g), torch.empty_like(q), of_Ra


def _of_potential(ctx: Any, g: Tensor | None) -> tuple[Tensor | None, ...]:
    if g is None:
        return (None,) * 7
    q, Ra, start = ctx.saved_tensors
    of_q, of_Ra, *_ = asked_for(ctx)
    return (
        _POTENTIAL(g, Ra, start, *ctx.others) if of_q else None,
        _GRADIENT(g, q, Ra, start, *ctx.others) if of_Ra else None,
        *[None] * 5,
    )


def _of_gradient(ctx: Any, u: Tensor | None) -> tuple[Tensor | None, ...]:
    if u is None:
        return (None,) * 8
    g, q, Ra, start = ctx.saved_tensors
    of_g, of_q, of_Ra, *_ = asked_for(ctx)
    by_g, by_q, by_Ra = _GRADIENT_BACKWARD(u, g, q, Ra, start, *ctx.others, of_Ra)
    return by_g if of_g else None, by_q if of_q else None, by_Ra if of_Ra else None, *[None] * 5


_GRADIENT_BACKWARD = register(
    f"coulomb_gradient_backward(Tensor u, Tensor g, {_INTERACTION}, bool curvature) -> (Tensor, Tensor, Tensor)",
    _gradient_backward,
    _empty_gradients,
    refuse,
)
_GRADIENT = register(
    f"coulomb_gradient(Tensor g, {_INTERACTION}) -> Tensor",
    _gradient,
    lambda g, q, Ra, *_: torch.empty_like(Ra),
    _of_gradient,
)
_POTENTIAL = register(
    f"coulomb_potential({_INTERACTION}) -> Tensor", _potential, lambda q, *_: torch.empty_like(q), _of_potential
)


def _shifted_softplus(x: Tensor) -> tuple[Tensor, Tensor]:
    # kernels are for single precision; to ask for them compiles all kernels for double, which tables alone do not need
    if x.dtype != torch.float32:
        return reference.shifted_softplus(x)
    return cast(tuple[Tensor, Tensor], fast(x).shifted_softplus(x))


def _backward(ctx: Any, g: Tensor | None, h: Tensor | None) -> Tensor | None:
    # in operations of torch, so that it can be differentiated again; the slope is a sigmoid
    (slope,) = ctx.saved_tensors
    if h is None:
        return None if g is None else g * slope
    of_slope = torch.ops.aten.sigmoid_backward(h, slope)
    return of_slope if g is None else torch.addcmul(of_slope, g, slope)


_SHIFTED_SOFTPLUS = register(
    "shifted_softplus(Tensor x) -> (Tensor, Tensor)",
    _shifted_softplus,
    lambda x: (torch.empty_like(x), torch.empty_like(x)),
    _backward,
    keep=lambda outputs: outputs[1:],
)


def shifted_softplus(x: Tensor) -> Tensor:
    r"""Return :math:`\ln(\tfrac12 e^x + \tfrac12)`, which is 0 at 0.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566
    """
    return cast(Tensor, (reference.shifted_softplus if torch._C._is_tracing() else _SHIFTED_SOFTPLUS)(x)[0])
