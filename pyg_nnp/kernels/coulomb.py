"""The Coulomb potential of all charges of a molecule, with two derivatives."""

from typing import Any, cast

import torch
from torch import Tensor

from pyg_nnp.functional.radial import Flavor
from pyg_nnp.kernels import reference
from pyg_nnp.kernels.backend import asked_for, fast, refuse, register

_INTERACTION = "Tensor q, Tensor Ra, Tensor start, str flavor, float cutoff_sr, float shielding, float cutoff_lr"


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
    :func:`pyg_nnp.functional.radial.damped_coulomb` and, with ``cutoff_lr``,
    :func:`pyg_nnp.functional.radial.shifted_force`.

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
