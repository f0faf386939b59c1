"""Errors over a whole part of the data."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from ase.data import atomic_numbers, chemical_symbols
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.config import Weights
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.difference import difference
from pyg_nnp.potential.potential import Potential

if TYPE_CHECKING:
    from torchmetrics import Metric

# kind of error -> field -> value
Errors = dict[str, dict[str, float]]

ALL, PER_ATOM = "all", "per atom"


def _metric(kind: str, device: torch.device) -> "Metric":
    # it takes longer to import than PyTorch, and most commands need no errors
    from torchmetrics import MaxMetric, MeanAbsoluteError, MeanSquaredError

    known: dict[str, Callable[[], Metric]] = {
        "rmse": lambda: MeanSquaredError(squared=False),
        "mse": MeanSquaredError,
        "mae": MeanAbsoluteError,
        # a prediction that is not a number makes all of them so
        "max": lambda: MaxMetric(nan_strategy="disable"),
    }
    return known[kind]().set_dtype(torch.float64).to(device)


class MetricSums:
    """Errors over batches that come one by one, however they are cut.

    Args:
        device: of the batches.
        weights: the kinds and fields that these have are computed.
    """

    def __init__(self, device: torch.device, *weights: Weights) -> None:
        wanted = {(kind, name) for group in weights for kind, fields in group.items() for name in fields}
        self._metrics = {key: _metric(key[0], device) for key in sorted(wanted)}

    def update(self, predicted: Mapping[str, Tensor], batch: Batch) -> None:
        """Add a batch with true values, and the predictions for it."""
        for (_, name), metric in self._metrics.items():
            error = difference(predicted, batch, name).detach().double()
            metric.update(error, torch.zeros_like(error))

    def errors(self) -> Errors:
        """Return the errors so far, in the units of the data."""
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
    sums = MetricSums(potential.device, *weights)
    training = potential.training
    potential.eval()
    try:
        for batch in batches:
            sums.update(potential(batch), batch)
    finally:
        potential.train(training)
    return sums.errors()


def weighted_sum(errors: Errors, weights: Weights) -> float:
    """Return the weighted sum of errors: the score of early stopping, or the loss of a whole part."""
    return sum(weight * errors[kind][name] for kind, fields in weights.items() for name, weight in fields.items())


@dataclass(frozen=True)
class ErrorRow:
    """Errors of a field, in the units of the data.

    Attributes:
        field: standard name.
        of: ``all``; ``per atom``, for energies divided by the number of atoms; or the symbol of an element.
        count: numbers that were compared.
        mae: mean absolute error.
        rmse: root of the mean squared error.
        max: largest absolute error.
    """

    field: str
    of: str
    count: int
    mae: float
    rmse: float
    max: float


class ErrorTable:
    """All errors over batches that come one by one, for fields of atoms also those of each element.

    Args:
        fields: those to compare.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = fields
        self._found: dict[tuple[str, str], _Errors] = {}

    def update(self, predicted: Mapping[str, Tensor], batch: Batch) -> None:
        """Add a batch with true values, and the predictions for it."""
        for name in self.fields:
            error = difference(predicted, batch, name).detach().double()
            groups = {ALL: error}
            if name == "E":
                groups[PER_ATOM] = error / batch.N
            if FIELDS[name].level == "atom":
                groups |= {chemical_symbols[Z]: error[batch.Za == Z] for Z in torch.unique(batch.Za).tolist()}
            for of, values in groups.items():
                self._found.setdefault((name, of), _Errors(values.device)).update(values)

    def rows(self) -> list[ErrorRow]:
        """Return the errors so far: field by field, first those of all numbers, then element by element."""

        def place(key: tuple[str, str]) -> tuple[int, int]:
            return self.fields.index(key[0]), atomic_numbers.get(key[1], 0)

        return [self._found[key].row(*key) for key in sorted(self._found, key=place)]


class _Errors:
    """Errors that belong together; summed as by :class:`MetricSums`, so that they have the same bits."""

    def __init__(self, device: torch.device) -> None:
        self.count = 0
        self.metrics = [_metric(kind, device) for kind in ("mae", "rmse", "max")]

    def update(self, error: Tensor) -> None:
        self.count += error.numel()
        mae, rmse, largest = self.metrics
        zeros = torch.zeros_like(error)
        mae.update(error, zeros)
        rmse.update(error, zeros)
        largest.update(error.abs())

    def row(self, field: str, of: str) -> ErrorRow:
        mae, rmse, largest = (float(metric.compute()) for metric in self.metrics)
        return ErrorRow(field, of, self.count, mae, rmse, largest)
