"""Errors over a whole part of the data, of predictions that come batch by batch."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from ase.data import atomic_numbers, chemical_symbols
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.config import Weights
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.difference import difference

# kind of error -> field -> value
Errors = dict[str, dict[str, float]]

ALL, PER_ATOM = "all", "per atom"


def weighted_sum(errors: Errors, weights: Weights) -> float:
    """Return the weighted sum of errors: the score of early stopping, or the loss of a whole part."""
    return sum(weight * errors[kind][name] for kind, fields in weights.items() for name, weight in fields.items())


class _Sums:
    """Errors of some kinds of numbers that belong together."""

    def __init__(self, device: torch.device, kinds: Iterable[str]) -> None:
        # it takes longer to import than PyTorch, and most commands need no errors
        from torchmetrics import MaxMetric, MeanAbsoluteError, MeanSquaredError, Metric

        known: dict[str, Callable[[], Metric]] = {
            "rmse": partial(MeanSquaredError, squared=False),
            "mse": MeanSquaredError,
            "mae": MeanAbsoluteError,
            # a prediction that is not a number makes all of them so
            "max": partial(MaxMetric, nan_strategy="disable"),
        }
        self.count = 0
        self._metrics = {kind: known[kind]().set_dtype(torch.float64).to(device) for kind in kinds}

    def update(self, error: Tensor) -> None:
        self.count += error.numel()
        sizes = error.abs()
        for kind, metric in self._metrics.items():
            metric.update(*((sizes,) if kind == "max" else (sizes, torch.zeros_like(sizes))))

    def errors(self) -> dict[str, float]:
        return {kind: float(metric.compute()) for kind, metric in self._metrics.items()}


def _error(predicted: Mapping[str, Tensor], batch: Batch, name: str) -> Tensor:
    return difference(predicted, batch, name).detach().double()


class MetricSums:
    """Errors of the kinds and fields that ``weights`` have, over batches that come one by one, however they are cut."""

    def __init__(self, device: torch.device, *weights: Weights) -> None:
        wanted = {(kind, name) for group in weights for kind, fields in group.items() for name in fields}
        self._sums = {key: _Sums(device, key[:1]) for key in sorted(wanted)}

    def update(self, predicted: Mapping[str, Tensor], batch: Batch) -> None:
        """Add a batch with true values, and the predictions for it."""
        for (_, name), sums in self._sums.items():
            sums.update(_error(predicted, batch, name))

    def errors(self) -> Errors:
        """Return the errors so far, in the units of the data."""
        errors: Errors = {}
        for (kind, name), sums in self._sums.items():
            errors.setdefault(kind, {})[name] = sums.errors()[kind]
        return errors


@dataclass(frozen=True)
class ErrorRow:
    """Errors of a field, in the units of the data."""

    field: str  # standard name
    of: str  # all; per atom, for energies divided by the number of atoms; or the symbol of an element
    count: int  # numbers that were compared
    mae: float  # mean absolute error
    rmse: float  # root of the mean squared error
    max: float  # largest absolute error


class ErrorTable:
    """All errors of some fields over batches that come one by one, for fields of atoms also those of each element."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.fields = fields
        self._sums: dict[tuple[str, str], _Sums] = {}

    def update(self, predicted: Mapping[str, Tensor], batch: Batch) -> None:
        """Add a batch with true values, and the predictions for it."""
        for name in self.fields:
            error = _error(predicted, batch, name)
            groups = {ALL: error}
            if name == "E":
                groups[PER_ATOM] = error / batch.N
            if FIELDS[name].level == "atom":
                groups |= {chemical_symbols[Z]: error[batch.Za == Z] for Z in torch.unique(batch.Za).tolist()}
            for of, values in groups.items():
                self._sums.setdefault((name, of), _Sums(values.device, ("mae", "rmse", "max"))).update(values)

    def rows(self) -> list[ErrorRow]:
        """Return the errors so far: field by field, first those of all numbers, then element by element."""
        keys = sorted(self._sums, key=lambda key: (self.fields.index(key[0]), atomic_numbers.get(key[1], 0)))
        found = [(*key, self._sums[key]) for key in keys]
        return [ErrorRow(name, of, sums.count, **sums.errors()) for name, of, sums in found]
