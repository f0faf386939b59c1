"""The loss: weighted sums of errors over fields."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from pyg_nnp.errors import FieldError

# kind of error -> field -> weight, as in the configuration
Weights = Mapping[Any, Mapping[str, float]]


class _HasFields(Protocol):
    def __getitem__(self, name: str, /) -> Tensor: ...


def _rmse(difference: Tensor) -> Tensor:
    # the slope of a square root at 0 is infinite: an error that is exactly 0 must not make every gradient NaN
    return difference.square().mean().clamp_min(torch.finfo(difference.dtype).tiny).sqrt()


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "rmse": _rmse,
    "mse": lambda difference: difference.square().mean(),
    "mae": lambda difference: difference.abs().mean(),
}


def weighted_loss(predicted: Mapping[str, Tensor], data: _HasFields, weights: Weights) -> Tensor:
    """Return the weighted sum of the errors of a batch.

    Args:
        predicted: what a potential returned for the batch.
        data: the batch, with the true values of the same fields.
        weights: e.g. ``{"rmse": {"E": 1.0, "Fa": 52.9}}``.

    Raises:
        FieldError: a field is not predicted, or not in the shape of the data.
    """
    terms = [
        weight * LOSSES[kind](difference(predicted, data, name))
        for kind, of_field in weights.items()
        for name, weight in of_field.items()
        if weight > 0
    ]
    return torch.stack([term.double() for term in terms]).sum()


def difference(predicted: Mapping[str, Tensor], data: _HasFields, name: str) -> Tensor:
    """Return predicted minus true values of a field; shapes that would broadcast are an error."""
    if name not in predicted:
        raise FieldError(f"the potential does not predict '{name}'. It predicts: {', '.join(sorted(predicted))}.")
    ours, theirs = predicted[name], data[name]
    if ours.shape != theirs.shape:
        raise FieldError(f"'{name}' is predicted with shape {tuple(ours.shape)}, the data has {tuple(theirs.shape)}.")
    return ours - theirs
