"""An interaction of the Cartesian core as one operator, with two derivatives: the passes as autograd calls them."""

import logging
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from pyg_nnp.kernels import reference, tensor_reference
from pyg_nnp.kernels.backend import asked_for, example_edges, fast, refuse
from pyg_nnp.kernels.reference import Edges
from pyg_nnp.kernels.tensor_operators import TENSORS
from pyg_nnp.layers.cores.cartesian_changes import by_weights, changes_of
from pyg_nnp.layers.cores.cartesian_passes import (
    Adjoints,
    Given,
    Inside,
    Layers,
    Pairs,
    Some,
    Tensors,
    Wanted,
    Weights,
    adjoints,
    values,
)

# of the passes, what the core needs
__all__ = ["Given", "Inside", "Layers", "Pairs", "Weights", "interact"]

log = logging.getLogger(__name__)

# returns new features, as many as are updated, and what is inside
Plain = Callable[[Pairs, Given, Layers], tuple[Tensors, Inside]]


class _Values(torch.autograd.Function):
    """New features and what is inside, from what is given and weights."""

    @staticmethod
    def forward(ctx: Any, plain: Plain, pairs: Pairs, *tensors: Tensor) -> Tensors:
        new, inside, factors = values(pairs, Given(*tensors[:6]), Weights.of(tensors[6:]))
        ctx.plain, ctx.pairs = plain, pairs
        ctx.save_for_backward(*tensors, *inside, *factors)
        ctx.set_materialize_grads(False)
        return *new, *inside

    @staticmethod
    def backward(ctx: Any, *of_results: Tensor | None) -> tuple[Tensor | None, ...]:
        asked, saved = asked_for(ctx), ctx.saved_tensors
        tensors, inside, factors = saved[: len(asked)], saved[len(asked) : len(asked) + 5], saved[len(asked) + 5 :]
        of_new, more = of_results[:-5], of_results[-5:]
        by: Some
        if not torch.is_grad_enabled():
            given, W = Given(*tensors[:6]), Weights.of(tensors[6:])
            has_features = any((*asked[:3], asked[6]))
            wanted = Wanted(*_wanted(asked), features=has_features, made=any(asked[6:]))
            of = adjoints(ctx.pairs, given, Inside(*inside), W, of_new, more, wanted)
            by = *of.given, *(by_weights(of.made, factors, asked[6:]) if of.made else [None] * len(factors))
        elif any(asked[5:]) or any(one is not None for one in more):
            by = _by_plain(ctx.plain, ctx.pairs, tensors, of_results, asked)
        else:
            by = *_apply(_Slopes, ctx.pairs, *tensors, *inside, *of_new), *[None] * len(asked[5:])
        return None, None, *_chosen(by, asked)


class _Slopes(torch.autograd.Function):
    """Derivatives by s, v, t, y and b, from what is given, weights, what is inside, and adjoints of new features."""

    @staticmethod
    def forward(ctx: Any, pairs: Pairs, *tensors: Tensor) -> tuple[Tensor | None, ...]:
        # each update has a weight and an adjoint
        end = 14 + (len(tensors) - 20) // 2
        given, W, inside = Given(*tensors[:6]), Weights.of(tensors[6:end]), Inside(*tensors[end : end + 5])
        of_new = tensors[end + 5 :]
        of = adjoints(pairs, given, inside, W, of_new, [None] * 5, Wanted(True, False, True, True, True))
        ctx.pairs, ctx.end, ctx.of_new = pairs, end, [one is not None for one in of_new]
        ctx.save_for_backward(*tensors[: end + 5], of.z, of.c, *of.messages, *of.made, *of.products)
        ctx.set_materialize_grads(False)
        return of.given[:5]

    @staticmethod
    def backward(ctx: Any, *changes: Tensor | None) -> tuple[Tensor | None, ...]:
        function = partial(_of_slopes, ctx.pairs, ctx.end, asked_for(ctx), ctx.of_new)
        given = *changes, *ctx.saved_tensors
        return None, *(_apply(_Last, function, *given) if torch.is_grad_enabled() else function(*given))


class _Last(torch.autograd.Function):
    """What a function returns, without derivatives."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], *tensors: Tensor | None) -> Any:
        return function(*tensors)

    backward = staticmethod(refuse)


def _of_slopes(
    pairs: Pairs, end: int, asked: Sequence[bool], is_given: Sequence[bool], *tensors: Any
) -> tuple[Tensor | None, ...]:
    """Return the derivatives of the slopes times changes, by all that they are computed from."""
    changes, saved = tensors[:5], tensors[5:]
    given, W, inside = Given(*saved[:6]), Weights.of(saved[6:end]), Inside(*saved[end : end + 5])
    z, c, *rest = saved[end + 5 :]
    # made is as much as there are weights
    of = Adjoints(z, c, tuple(rest[:3]), tuple(rest[end - 3 :]), (), tuple(rest[3 : end - 3]))
    found = changes_of(pairs, given, inside, W, of, changes, _wanted(asked))
    of_weights = [one and factor is not None for one, factor in zip(asked[6:end], found.factors, strict=True)]
    by = *found.by_given, *by_weights(of.made, found.factors, of_weights), *found.by_inside
    # adjoints that were absent have no derivative
    new = found.new + (None,) * (len(is_given) - len(found.new))
    return *_chosen(by, asked[: end + 5]), *_chosen(new, is_given)


def _apply(function: Any, *arguments: Any) -> tuple[Any, ...]:
    results: tuple[Any, ...] = function.apply(*arguments)
    return results


def _chosen(values: Some, asked: Sequence[bool]) -> list[Tensor | None]:
    return [value if is_asked else None for value, is_asked in zip(values, asked, strict=True)]


def _wanted(asked: Sequence[bool]) -> tuple[bool, bool, bool]:
    """Return whether derivatives by the weights of rows, by the table, and by harmonics are asked for."""
    return asked[4], asked[5], asked[3]


def _by_plain(plain: Plain, pairs: Pairs, tensors: Tensors, of_results: Some, asked: Sequence[bool]) -> Some:
    """Return derivatives that can be differentiated themselves, with respect to all that is asked for."""
    # partial ones, whatever depends on what
    alone = [x.view_as(x) for x in tensors]  # (...)
    new, inside = plain(pairs, Given(*alone[:6]), Weights.of(alone[6:]).layers())
    results = [(result, of) for result, of in zip((*new, *inside), of_results, strict=True) if of is not None]
    by = [x for x, is_asked in zip(alone, asked, strict=True) if is_asked]
    of, adjoint = zip(*results, strict=True)
    found = iter(torch.autograd.grad(of, by, adjoint, create_graph=True, allow_unused=True))
    return [next(found) if is_asked else None for is_asked in asked]


def interact(plain: Plain, pairs: Pairs, given: Given, weights: Weights) -> Tensors:
    """Return new features, s, (s, v) or (s, v, t), as ``plain`` does, by passes written by hand where they apply.

    They do on CPUs with compiled loops, and with filters from tables, which do not depend on positions.
    """
    s, kernels = given.s, fast(given.s, TENSORS)
    has_loops = s.device.type == "cpu" and kernels is not tensor_reference and s.shape[1] <= kernels.MOST_FEATURES
    if not has_loops or given.b.shape[1] == 1 or not _are_right(plain, s.dtype):
        return plain(pairs, given, weights.layers())[0]
    pairs = pairs._replace(kernels=kernels)
    return _apply(_Values, plain, pairs, *given, *weights.flat())[: 1 + len(weights.update)]


@cache
def _are_right(plain: Plain, dtype: torch.dtype) -> bool:
    """Compare the gradient of a loss on slopes with that of plain operators, on a small example."""
    F, index = 8, example_edges(torch.device("cpu"))
    kernels = fast(torch.empty(0, dtype=dtype), TENSORS)
    pairs = Pairs(torch.tensor([0, 3, 1, 3, 2, 2, 0, 1]), Edges(index, *reference.sort_edges(index, 9)), kernels)
    shapes = [(9, F), (9, 3, F), (9, 5, F), (8, 8), (8, 6), (9, 3 * F)]
    of_layers = [(3 * F, F), *[(F, F)] * 3, (F, 5 * F), (F,), (6 * F, F), (6 * F,), (F, F), (F, F)]
    random = torch.Generator().manual_seed(0)
    values = [0.3 * torch.randn(shape, generator=random, dtype=torch.float64) for shape in (*shapes, *of_layers)]

    def gradient(is_plain: bool) -> Tensor:
        leaves = [value.to(dtype, copy=True).requires_grad_() for value in values]
        given, weights = Given(*leaves[:6]), Weights.of(leaves[6:])
        new = plain(pairs, given, weights.layers())[0] if is_plain else _apply(_Values, plain, pairs, *leaves)[:3]
        slopes = torch.autograd.grad([x.square().sum() for x in new], leaves[3:5], create_graph=True)
        loss = torch.stack([x.square().sum() for x in (*slopes, *new)]).sum()  # ()
        return torch.cat([by.flatten() / by.norm() for by in torch.autograd.grad(loss, leaves)])  # (n,)

    with torch.inference_mode(False), torch.enable_grad():
        is_right = torch.allclose(gradient(True), gradient(False), rtol=0, atol=1e-4)
    if not is_right:
        log.warning("The passes of the Cartesian core differ from plain operators for %s: not used.", dtype)
    return is_right
