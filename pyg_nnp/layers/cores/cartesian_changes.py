"""Changes of the slopes of an interaction of the Cartesian core, and derivatives by weights.

See :mod:`pyg_nnp.layers.cores.cartesian_passes`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_nnp.kernels.matrix_products import linear, sum_of_products
from pyg_nnp.layers.cores.cartesian_passes import (
    Adjoints,
    Given,
    Inside,
    Pairs,
    Some,
    Tensors,
    Weights,
    padded_gates,
    summed,
)


class Changes(NamedTuple):
    """Of new features; derivatives of slopes by what is given and is inside; changes of what weights multiply."""

    new: Tensors
    by_given: Tensors
    by_inside: Inside
    factors: tuple[Tensor | None, ...]


def changes_of(
    pairs: Pairs, given: Given, inside: Inside, W: Weights, of: Adjoints, changes: Some, wanted: tuple[bool, bool, bool]
) -> Changes:
    """Follow changes of what is given but the table, forward; ``of`` are the adjoints of the slopes."""
    a, M1, M2, h, g = inside
    F, kernels = h.shape[1], pairs.kernels
    ds, dv, dt, dy, db = (torch.zeros_like(x) if d is None else d for d, x in zip(changes, given[:5], strict=True))
    messages = given.b, pairs.rows, given.table, given.y, a, given.v, given.t
    changed = db, given.table[:0], dy, linear(ds, W.source), dv, dt
    by_b, by_T, by_y, by_a, by_v, by_t, *dm = kernels.tensor_second_derivatives(
        changed, of.messages, messages, pairs.edges, wanted
    )
    dM0, dM1, dM2 = (linear(m, mix) for m, mix in zip(dm, W.mix, strict=True))
    d_invariants, by_M1, by_M2 = kernels.invariants_second(dM1, dM2, of.z[:, 2 * F :], M1, M2)
    dz = torch.cat((ds, dM0, d_invariants), dim=1)  # (A, 5 F)
    dh = linear(dz, W.lin1)
    dc = torch.ops.aten.silu_backward(dh, h)
    sigmoid = h.sigmoid()
    # of the slope of silu, σ (1 + h (1 - σ))
    by_h = (2 + h * (1 - 2 * sigmoid)) * sigmoid * (1 - sigmoid) * dh * of.c
    dg, new = linear(dc, W.lin2[F:]), [ds + linear(dc, W.lin2[:F])]
    by_g, products = torch.zeros_like(g), [None] * len(W.update)
    if of.products:
        *products, by_gates, more_M1, more_M2 = kernels.products_second(
            padded_gates(dg, F), dM1, dM2, *of.products, padded_gates(g, F), M1, M2
        )
        by_g = by_gates[:, : g.shape[1]]
        by_M1, by_M2 = by_M1.add_(more_M1), by_M2.add_(more_M2)
        for x, product, update in zip((dv, dt), products, W.update, strict=False):
            new.append(summed(linear(product, update), x if len(x) else None))
    by_given = torch.zeros_like(ds), by_v, by_t, by_y, by_b, by_T
    # biases are in no slope
    factors = ds, *dm, dz, None, dc, None, *products[: len(W.update)]
    return Changes(tuple(new), by_given, Inside(by_a, by_M1, by_M2, by_h, by_g), factors)


def by_weights(made: Some, factors: Some, asked: Sequence[bool]) -> list[Tensor | None]:
    """Return derivatives by the weights, from the adjoints of what they make and what they are multiplied with."""
    found: list[Tensor | None] = []
    for of, factor, is_asked in zip(made, factors, asked, strict=True):
        if of is None or not is_asked:
            found.append(None)
        else:
            found.append(of.sum(dim=0) if factor is None else sum_of_products(of, factor))
    return found
