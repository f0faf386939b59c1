r"""An interaction of the Cartesian core in passes written by hand: values, slopes, changes of slopes, and gradients.

They compute what :func:`pyg_nnp.layers.cores.cartesian.interaction` and automatic differentiation do, with half of the
nodes of a graph, and without what nobody asks for.

- Values; what is inside the interaction and enters its slopes is among the results.
- Slopes: derivatives of new features, times what is given, by features, harmonics and weights of rows of the table.
  All that is made on the way back, from new features to old ones, is called the adjoint of what it is a derivative by.
- Changes, in the backward pass of the slopes: those of the new features by those of all that the slopes are by, and
  derivatives by what is inside; see :mod:`pyg_nnp.layers.cores.cartesian_changes`.
- Gradients: with these the same way back as that of the slopes, to the weights too.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from pyg_nnp.kernels.matrix_products import linear, linear_adjoint
from pyg_nnp.kernels.reference import Edges

Tensors = tuple[Tensor, ...]
Some = Sequence[Tensor | None]
Layer = Callable[[Tensor], Tensor]


class Given(NamedTuple):
    """Features s (A, F), v (A, 3, F) and t (A, 5, F), harmonics (P, 8), weights (P, C) of rows of a table (R, 3 F).

    Where there is no v and t yet, they are (0, 3, F) and (0, 5, F).
    """

    s: Tensor
    v: Tensor
    t: Tensor
    y: Tensor
    b: Tensor
    table: Tensor


class Layers(NamedTuple):
    """W_a, W_M of three degrees, W_1 and W_2 with biases, and as many of W_v and W_t as there are, to be called."""

    source: Layer
    mix: Sequence[Layer]
    lin1: Layer
    lin2: Layer
    update: Sequence[Layer]


class Weights(NamedTuple):
    """The weights of layers, in the shapes that :class:`torch.nn.Linear` has."""

    source: Tensor
    mix: tuple[Tensor, Tensor, Tensor]
    lin1: Tensor
    bias1: Tensor
    lin2: Tensor
    bias2: Tensor
    update: Tensors

    def flat(self) -> Tensors:
        """Return all tensors; :meth:`of` makes the weights of them."""
        return self.source, *self.mix, self.lin1, self.bias1, self.lin2, self.bias2, *self.update

    @classmethod
    def of(cls, flat: Sequence[Tensor]) -> "Weights":
        """Return the weights from their tensors."""
        source, m0, m1, m2, lin1, bias1, lin2, bias2, *update = flat
        return cls(source, (m0, m1, m2), lin1, bias1, lin2, bias2, tuple(update))

    @classmethod
    def of_layers(cls, layers: Layers, kinds: tuple[type, ...] = (nn.Linear,)) -> "Weights | None":
        """Return the weights of layers if these are of kinds that only multiply, and nobody watches them."""
        parts: list[Any] = [layers.source, *layers.mix, layers.lin1, layers.lin2, *layers.update]
        if not all(type(part) in kinds and not _hooks(part) for part in parts):
            return None
        source, m0, m1, m2, lin1, lin2, *update = parts
        weights = [part.weight for part in update]
        return cls.of(
            (source.weight, m0.weight, m1.weight, m2.weight, lin1.weight, lin1.bias, lin2.weight, lin2.bias, *weights)
        )

    def layers(self) -> Layers:
        """Return the layers."""
        source, *mix = (partial(linear, weight=weight) for weight in (self.source, *self.mix))
        lin1 = partial(linear, weight=self.lin1, bias=self.bias1)
        lin2 = partial(linear, weight=self.lin2, bias=self.bias2)
        return Layers(source, mix, lin1, lin2, [partial(linear, weight=weight) for weight in self.update])


class Inside(NamedTuple):
    """What enters the slopes: a (A, 3 F), M^1 (A, 3, F), M^2 (A, 5, F), W_1 z (A, F), and gates but g_0 (A, n F)."""

    a: Tensor
    M1: Tensor
    M2: Tensor
    h: Tensor
    g: Tensor


class Pairs(NamedTuple):
    """The rows of the table that those of each pair begin with, edges, and the module of the loops over them."""

    rows: Tensor
    edges: Edges
    kernels: Any = None


class Wanted(NamedTuple):
    """Which adjoints are: of the weights of rows, of the table, of harmonics, of features, and of what weights make."""

    b: bool
    table: bool
    y: bool
    features: bool
    made: bool


class Adjoints(NamedTuple):
    """Of z, silu(W_1 z), messages and products, of what is given, and of what each weight makes, in their order."""

    z: Tensor
    c: Tensor
    messages: Tensors
    products: Tensors
    given: tuple[Tensor | None, ...]
    made: tuple[Tensor | None, ...]


def _hooks(layer: nn.Module) -> bool:
    kinds = layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks
    return any(kinds)


def padded_gates(g: Tensor, F: int) -> Tensor:
    """Return the gates of all products, 0 for those that are not there."""
    return pad(g, (0, 5 * F - g.shape[1])) if g.shape[1] < 5 * F else g  # (A, 5 F)


def summed(x: Tensor, other: Tensor | None) -> Tensor:
    """Add to x what there is to be added, in place."""
    return x if other is None else x.add_(other)


def values(pairs: Pairs, given: Given, W: Weights) -> tuple[Tensors, Inside, tuple[Tensor | None, ...]]:
    """Return new features, what is inside, and what weights are multiplied with, in their order; None for a bias."""
    s, v, t, y, b, table = given
    F, kernels = s.shape[1], pairs.kernels
    a = linear(s, W.source)  # (A, 3 F)
    messages = kernels.aggregate_tensors(b, pairs.rows, table, y, a, v, t, *pairs.edges)
    M0, M1, M2 = (linear(m, mix) for m, mix in zip(messages, W.mix, strict=True))  # (A, F), (A, 3, F), (A, 5, F)
    z = torch.cat((s, M0, kernels.invariants(M1, M2)), dim=1)  # (A, 5 F)
    h = linear(z, W.lin1, W.bias1)
    c = silu(h)
    # apart from each other, since slices of what is made at once would have to be copied
    g = linear(c, W.lin2[F:], W.bias2[F:])  # (A, n F)
    products = kernels.products(padded_gates(g, F), M1, M2)[: len(W.update)] if W.update else ()
    new = [s + linear(c, W.lin2[:F], W.bias2[:F])]
    for x, product, update in zip((v, t), products, W.update, strict=False):
        new.append(summed(linear(product, update), x if len(x) else None))
    return tuple(new), Inside(a, M1, M2, h, g), (s, *messages, z, None, c, None, *products)


def adjoints(
    pairs: Pairs, given: Given, inside: Inside, W: Weights, of_new: Some, more: Some, wanted: Wanted
) -> Adjoints:
    """Go back from adjoints of new features; what is inside may have more of them.

    What is not wanted is None, or has a length of 0.
    """
    a, M1, M2, h, g = inside
    more_a, more_M1, more_M2, more_h, more_g = more
    F, kernels = h.shape[1], pairs.kernels
    of_s = torch.zeros_like(h) if of_new[0] is None else of_new[0]
    of_g, of_M = more_g, (more_M1, more_M2)
    of_products: Tensors = ()
    if any(x is not None for x in of_new[1:]):
        of_gates, of_M, of_products = _of_gates(pairs, inside, W, of_new, of_M)
        of_g = summed(of_gates, more_g)
    of_c = linear_adjoint(of_s, W.lin2[:F])  # (A, F)
    of_c = of_c if of_g is None else of_c.add_(linear_adjoint(of_g, W.lin2[F:]))
    of_h = summed(torch.ops.aten.silu_backward(of_c, h), more_h)
    of_z = linear_adjoint(of_h, W.lin1)  # (A, 5 F)
    by_M1, by_M2 = kernels.invariants_gradient(of_z[:, 2 * F :], M1, M2)
    of_mixed = of_z[:, F : 2 * F], summed(by_M1, of_M[0]), summed(by_M2, of_M[1])
    of_m = tuple(linear_adjoint(M, mix) for M, mix in zip(of_mixed, W.mix, strict=True))  # (A, F), (A, 3, F), (A, 5, F)
    messages = given.b, pairs.rows, given.table, given.y, a, given.v, given.t
    of_b, of_T, of_y, of_a, *of_x = kernels.tensor_derivatives(of_m, messages, pairs.edges, wanted[:4])
    before: list[Tensor | None] = [None, None, None]
    if wanted.features:
        of_a = summed(of_a, more_a)
        before = [of_s + of_z[:, :F] + linear_adjoint(of_a, W.source)]  # (A, F)
        changed = zip(of_x, (*of_new[1:], None, None), strict=False)
        before += [summed(one, new) if len(one) else None for one, new in changed]
    made: tuple[Tensor | None, ...] = ()
    if wanted.made:
        of_all = pad(of_s, (0, g.shape[1])) if of_g is None else torch.cat((of_s, of_g), dim=1)  # (A, F + n F)
        made = of_a, *of_mixed, of_h, of_h, of_all, of_all, *of_new[1:]
    return Adjoints(of_z, of_c, of_m, of_products, (*before, of_y, of_b, of_T), made)


def _of_gates(
    pairs: Pairs, inside: Inside, W: Weights, of_new: Some, more: Some
) -> tuple[Tensor, tuple[Tensor, Tensor], Tensors]:
    """Return adjoints of gates, of M^1 and M^2 by products, and of these; ``more`` are of M^1 and M^2."""
    _, M1, M2, _, g = inside
    of_x = [torch.zeros_like(M) if x is None else x for x, M in zip(of_new[1:], (M1, M2), strict=False)]
    of_products = [linear_adjoint(x, update) for x, update in zip(of_x, W.update, strict=True)]  # (A, 3, F), (A, 5, F)
    of_products += [torch.zeros_like(M) for M in (M1, M2)[len(W.update) :]]
    of_gates, by_M1, by_M2 = pairs.kernels.products_gradient(*of_products, padded_gates(g, M1.shape[2]), M1, M2)
    return of_gates[:, : g.shape[1]], (summed(by_M1, more[0]), summed(by_M2, more[1])), tuple(of_products)
