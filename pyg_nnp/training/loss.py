"""The loss: weighted sums of errors over fields."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pyg_nnp.config import Weights
from pyg_nnp.functional.difference import HasFields, difference, frame_weights, labelled_difference

Mean = Callable[[Tensor], Tensor]

# kind of error -> from the differences and how their mean is taken
LOSSES: dict[str, Callable[[Tensor, Mean], Tensor]] = {
    # the slope of a square root at 0 is infinite: an error that is exactly 0 must not make every gradient NaN
    "rmse": lambda difference, mean: mean(difference.square()).clamp_min(torch.finfo(difference.dtype).tiny).sqrt(),
    "mse": lambda difference, mean: mean(difference.square()),
    "mae": lambda difference, mean: mean(difference.abs()),
}


def weighted_loss(
    predicted: Mapping[str, Tensor], data: HasFields, weights: Weights, mean_weights: Mapping[str, float] | None = None
) -> Tensor:
    r"""Return the weighted sum of the errors of a batch.

    Where labels are missing or frames have weights, a number i has the weight :math:`w_i` of its frame, 0 if it is
    missing, and with :math:`\bar w`, the mean of all :math:`w_i` of the training part, the error of a field in a batch
    of n numbers is that of the weighted means, as for RMSE, times what is there of what is to be expected:

    .. math:: L = \sqrt{\frac{\sum_i w_i \Delta_i^2}{\sum_i w_i}} \; \frac{\sum_i w_i}{n \bar w}

    so that a label counts the same whatever else is in its batch, and a field the same however many labels it has.

    Args:
        predicted: what a potential returned for the batch.
        data: the batch, with the true values of the same fields.
        weights: e.g. ``{"rmse": {"E": 1.0, "Fa": 52.9}}``.
        mean_weights: field -> :math:`\bar w`, as :func:`pyg_nnp.data.labels.mean_weights` returns it. The fields that
            it does not have are taken to have all their labels, each with weight 1.

    Raises:
        FieldError: a field is not predicted, or not in the shape of the data.
    """
    known = mean_weights or {}
    terms = [
        weight * _error(kind, predicted, data, name, known.get(name))
        for kind, of_field in weights.items()
        for name, weight in of_field.items()
        if weight > 0
    ]
    return torch.stack([term.double() for term in terms]).sum()


def _error(kind: str, predicted: Mapping[str, Tensor], data: HasFields, name: str, mean_weight: float | None) -> Tensor:
    """Return the error of a field; with a mean weight, that of the weighted labels that are there."""
    if mean_weight is None:
        return LOSSES[kind](difference(predicted, data, name), torch.mean)
    values, present = labelled_difference(predicted, data, name)
    weights = present.to(values.dtype)
    if "weight" in data:
        weights = weights * frame_weights(data, name).to(values.dtype)
    total = weights.sum()
    # without a label both sums are 0, and so are the error and its gradient
    least = torch.finfo(values.dtype).tiny
    error = LOSSES[kind](values, lambda numbers: (weights * numbers).sum() / total.clamp_min(least))
    return error * (total / (weights.numel() * mean_weight))
