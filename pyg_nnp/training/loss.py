"""The loss: weighted sums of errors over fields."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from pyg_nnp.config import PER_ATOM, Weight, Weights, delta_of, is_used, weight_at
from pyg_nnp.functional.difference import HasFields, difference, frame_weights, labelled_difference, per_atom

Total = Callable[[Tensor], Tensor]
_Sums = tuple[Tensor, Tensor | int, Tensor | int, Tensor | float]

# kind of error -> from the differences, what its mean is taken of
_NUMBERS: dict[str, Callable[[Tensor], Tensor]] = {
    "rmse": torch.square,
    "mse": torch.square,
    "mae": torch.abs,
    # the slope of a length at 0 is 0 here
    "l2norm": lambda difference: difference.norm(dim=-1),
}


def _numbers(kind: str, difference: Tensor) -> Tensor:
    delta = delta_of(kind)
    if delta is None:
        return _NUMBERS[kind](difference)
    return huber_loss(difference, torch.zeros_like(difference), "none", delta=delta)


def weighted_loss(
    predicted: Mapping[str, Tensor],
    data: HasFields,
    weights: Weights,
    mean_weights: Mapping[str, float] | None = None,
    total: Total | None = None,
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
        weights: e.g. ``{"rmse": {"E": 1.0, "Fa": 52.9}}``; ``l2norm`` is the mean length of the errors of a vector,
            ``huber_0.01`` the Huber loss with delta 0.01, and kinds that end in ``_per_atom`` are of errors divided by
            the number of atoms. Where a weight changes, the data have ``progress``, (), the fraction of the training
            that is over.
        mean_weights: field -> :math:`\bar w`, as :func:`pyg_nnp.data.labels.mean_weights` returns it. The fields that
            it does not have are taken to have all their labels, each with weight 1.
        total: returns the sums of numbers over all processes that have a part of the batch, with the gradient of a sum
            with respect to this one's; None: all of the batch is here.

    Raises:
        FieldError: a field is not predicted, or not in the shape of the data.
    """
    known = mean_weights or {}
    used = [(kind, name, w) for kind, of_field in weights.items() for name, w in of_field.items() if is_used(w)]
    sums = [_sums(kind.removesuffix(PER_ATOM), kind, predicted, data, name, known.get(name)) for kind, name, _ in used]
    if total is not None:
        # one sum over processes for all terms
        sums = [tuple(row) for row in total(torch.stack([_row(each) for each in sums]))]  # (T, 4)
    terms = [_now(weight, data) * _error(kind, each) for (kind, _, weight), each in zip(used, sums, strict=True)]
    return torch.stack([term.double() for term in terms]).sum()


def _now(weight: Weight, data: HasFields) -> float | Tensor:
    """Return a weight as it is now; one that changes as a tensor, since a recorded step keeps other numbers as is."""
    now: float | Tensor = weight_at(weight, data["progress"]) if isinstance(weight, Mapping) else weight
    return now


def _sums(
    base: str, kind: str, predicted: Mapping[str, Tensor], data: HasFields, name: str, mean_weight: float | None
) -> _Sums:
    """Return the sums that the error of a field is made of: of its numbers and of their weights, of weights that are
    there and that are expected; without a mean weight all are there, each 1.
    """
    if mean_weight is None:
        values = difference(predicted, data, name)
        numbers = _numbers(base, values if base == kind else per_atom(values, data))
        return numbers.sum(), numbers.numel(), 1, 1
    values, present = labelled_difference(predicted, data, name)
    values = values if base == kind else per_atom(values, data)
    weights = present.to(values.dtype)
    if "weight" in data:
        weights = weights * frame_weights(data, name).to(values.dtype)
    # the length of a vector is known only if all its components are
    rows = weights.amin(dim=-1) if base == "l2norm" else weights  # (A,) or (G,) of vectors
    return (rows * _numbers(base, values)).sum(), rows.sum(), weights.sum(), weights.numel() * mean_weight


def _row(sums: _Sums) -> Tensor:
    """Return sums as (4,)."""
    numbers = sums[0]
    return torch.stack([torch.as_tensor(each, dtype=torch.float64, device=numbers.device) for each in sums])


def _error(kind: str, sums: _Sums) -> Tensor:
    """Return the error of a field from its sums."""
    numbers, weights, present, expected = sums
    least = torch.finfo(numbers.dtype).tiny
    # without a label both sums are 0, and so are the error and its gradient
    error = numbers / (weights.clamp_min(least) if isinstance(weights, Tensor) else weights)
    if kind.removesuffix(PER_ATOM) == "rmse":
        # the slope of a square root at 0 is infinite: an error that is exactly 0 must not make every gradient NaN
        error = error.clamp_min(least).sqrt()
    return error if isinstance(present, int) else error * (present / expected)
