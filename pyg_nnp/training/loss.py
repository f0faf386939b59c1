"""The loss: weighted sums of errors over fields."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pyg_nnp.config import Weights
from pyg_nnp.functional.difference import HasFields, difference


def _rmse(difference: Tensor) -> Tensor:
    # the slope of a square root at 0 is infinite: an error that is exactly 0 must not make every gradient NaN
    return difference.square().mean().clamp_min(torch.finfo(difference.dtype).tiny).sqrt()


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "rmse": _rmse,
    "mse": lambda difference: difference.square().mean(),
    "mae": lambda difference: difference.abs().mean(),
}


def weighted_loss(predicted: Mapping[str, Tensor], data: HasFields, weights: Weights) -> Tensor:
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
