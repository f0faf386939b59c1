"""Errors over a whole part of the data."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric

from pyg_nnp.loss import Weights, difference
from pyg_nnp.model import Potential

# kind of error -> field -> value
Errors = dict[str, dict[str, float]]


_METRICS: dict[str, Callable[[], Metric]] = {
    "rmse": lambda: MeanSquaredError(squared=False),
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
}


class RunningErrors:
    """Errors of predictions that come batch by batch, however they are cut.

    Args:
        device: of the predictions.
        weights: the kinds and fields that these have are computed.
    """

    def __init__(self, device: torch.device, *weights: Weights) -> None:
        wanted = {(kind, name) for group in weights for kind, fields in group.items() for name in fields}
        self._metrics = {key: _METRICS[key[0]]().set_dtype(torch.float64).to(device) for key in sorted(wanted)}

    def update(self, predicted: Mapping[str, Tensor], batch: Batch) -> None:
        """Add a batch, with true values, and what a potential predicts for it."""
        for (_, name), metric in self._metrics.items():
            error = difference(predicted, batch, name).double()
            metric.update(error, torch.zeros_like(error))

    def compute(self) -> Errors:
        """Return kind of error -> field -> value, in the units of the data."""
        errors: Errors = {}
        for (kind, name), metric in self._metrics.items():
            errors.setdefault(kind, {})[name] = float(metric.compute())
        return errors


def evaluate(potential: Potential, batches: Iterable[Batch], *weights: Weights) -> Errors:
    """Return the errors of a potential over all batches together, however they are cut.

    Args:
        potential: is left in the mode it was in.
        batches: with true values.
        weights: the kinds and fields that these have are computed.

    Returns:
        kind of error -> field -> value, in the units of the data.
    """
    errors = RunningErrors(next(potential.buffers()).device, *weights)
    training = potential.training
    potential.eval()
    try:
        for batch in batches:
            errors.update(potential(batch), batch)
    finally:
        potential.train(training)
    return errors.compute()


def weighted_sum(errors: Errors, weights: Weights) -> float:
    """Return the weighted sum of errors: the score of early stopping, or the loss of a whole part."""
    return sum(weight * errors[kind][name] for kind, fields in weights.items() for name, weight in fields.items())
