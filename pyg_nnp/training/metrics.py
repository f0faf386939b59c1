"""Errors over a whole part of the data, of predictions that come batch by batch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from ase.data import atomic_numbers, chemical_symbols
from torch import Tensor
from torch.nn.functional import huber_loss
from torch_geometric.data import Batch

from pyg_nnp.config import PER_ATOM, Weights, delta_of, weight_at
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.difference import frame_weights, labelled_difference, per_atom
from pyg_nnp.runtime import processes

# kind of error -> field -> value
Errors = dict[str, dict[str, float]]

ALL, OF_ATOM = "all", "per atom"
_MEANS = {"mae": "weight", "mse": "weight", "l2norm": "vectors"}  # and the sum of the weights of each
_SUMS = ("count", "weight", "vectors", *_MEANS)
COUNT = "count"  # among kinds of errors: how many labels each field has


def weighted_sum(errors: Errors, weights: Weights, progress: float = 0.0) -> float:
    """Return the weighted sum of errors: the score of early stopping, or the loss of a whole part.

    ``progress`` is the fraction of the training that is over, which weights that change depend on.
    """
    terms = ((kind, name, weight_at(w, progress)) for kind, fields in weights.items() for name, w in fields.items())
    return float(sum(weight * errors[kind][name] for kind, name, weight in terms))


class _Sums:
    """Sums over numbers that belong together, of their errors and weights.

    ``deltas`` are those of Huber losses, by the kinds of errors that they are.
    """

    def __init__(self, device: torch.device, deltas: Mapping[str, float] = {}) -> None:
        # metrics of libraries take no weights, or round what they add up to single precision
        self._deltas = deltas
        self._sums = {name: torch.zeros((), dtype=torch.float64, device=device) for name in (*_SUMS, *deltas)}
        self._max = torch.zeros((), dtype=torch.float64, device=device)

    def update(self, error: Tensor, present: Tensor, weight: Tensor | float = 1.0) -> None:
        """Add numbers: their errors, 0 where the label is missing, whether it is there, and weights."""
        weights, sizes = present.double() * weight, error.abs()
        # the length of a vector is known only if all its components are; a number is a vector of one
        vectors, lengths = (weights.amin(dim=-1), error.norm(dim=-1)) if error.dim() > 1 else (weights, sizes)
        added = present, weights, vectors, weights * sizes, weights * sizes.square(), vectors * lengths
        for name, values in zip(_SUMS, added, strict=True):
            self._sums[name] += values.sum()
        for kind, delta in self._deltas.items():
            self._sums[kind] += (weights * huber_loss(error, torch.zeros_like(error), "none", delta=delta)).sum()
        if sizes.numel():
            # a prediction that is not a number makes all of them so
            self._max = torch.maximum(self._max, sizes.max())

    def combine(self) -> None:
        """Add the numbers of all processes up."""
        names, device = list(self._sums), self._max.device
        own = torch.stack([*self._sums.values(), self._max]).cpu()
        of_all = torch.stack(processes.gather(own)).to(device)  # (processes, sums)
        self._sums, self._max = dict(zip(names, of_all[:, :-1].sum(dim=0), strict=True)), of_all[:, -1].max()

    @property
    def count(self) -> int:
        """Number of labels."""
        return int(self._sums["count"])

    def errors(self) -> dict[str, float]:
        """Return kind of error -> value; NaN if there is no label."""
        weights = _MEANS | dict.fromkeys(self._deltas, "weight")
        means = {kind: self._sums[kind] / self._sums[weight] for kind, weight in weights.items()}
        found = {**means, "rmse": means["mse"].sqrt(), "max": self._max}
        return {kind: float(value) for kind, value in found.items()}


def _error(predicted: Mapping[str, Tensor], batch: Batch, name: str) -> tuple[Tensor, Tensor]:
    error, present = labelled_difference(predicted, batch, name)
    return error.detach().double(), present


class MetricSums:
    """Errors of the kinds and fields that ``weights`` have, over batches that come one by one, however they are cut.

    With ``weighted`` the frames count by their weights, if they have any.
    """

    def __init__(self, device: torch.device, *weights: Weights, weighted: bool = False) -> None:
        self._wanted = {(kind, name) for group in weights for kind, fields in group.items() for name in fields}
        deltas = {kind.removesuffix(PER_ATOM): delta for kind, _ in self._wanted if (delta := delta_of(kind))}
        self._sums = {name: _Sums(device, deltas) for name in sorted({name for _, name in self._wanted})}
        by_atoms = {name for kind, name in self._wanted if kind.endswith(PER_ATOM)}
        self._per_atom = {name: _Sums(device, deltas) for name in sorted(by_atoms)}
        self._weighted = weighted

    def update(self, predicted: Mapping[str, Tensor], batch: Batch) -> None:
        """Add a batch with true values, and the predictions for it."""
        for name, sums in self._sums.items():
            weight = frame_weights(batch, name).double() if self._weighted and "weight" in batch else 1.0
            error, present = _error(predicted, batch, name)
            sums.update(error, present, weight)
            if name in self._per_atom:
                self._per_atom[name].update(per_atom(error, batch), present, weight)

    def combine(self) -> None:
        """Add the batches of all processes up, each of which has a share of them."""
        if processes.count() > 1:
            for sums in (*self._sums.values(), *self._per_atom.values()):
                sums.combine()

    def errors(self) -> Errors:
        """Return the errors so far, in the units of the data; NaN where there was no label."""
        found = {name: sums.errors() for name, sums in self._sums.items()}
        for name, sums in self._per_atom.items():
            found[name] |= {kind + PER_ATOM: value for kind, value in sums.errors().items()}
        errors: Errors = {}
        for kind, name in sorted(self._wanted):
            errors.setdefault(kind, {})[name] = found[name][kind]
        return errors

    def are_finite(self) -> bool:
        """Say whether all errors are finite, those of fields without labels left out."""
        return all(math.isfinite(sums.errors()["mse"]) for sums in self._sums.values() if sums.count)

    def counts(self) -> dict[str, int]:
        """Return field -> number of labels so far; a vector has three."""
        return {name: sums.count for name, sums in self._sums.items()}


@dataclass(frozen=True)
class ErrorRow:
    """Errors of a field, in the units of the data."""

    field: str  # standard name
    of: str  # all; per atom, for energies divided by the number of atoms; or the symbol of an element
    count: int  # labels that it was compared with; a vector has three
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
            error, present = _error(predicted, batch, name)
            groups = {ALL: (error, present)}
            if name == "E":
                groups[OF_ATOM] = per_atom(error, batch), present
            if FIELDS[name].level == "atom":
                of_elements = {chemical_symbols[Z]: batch.Za == Z for Z in torch.unique(batch.Za).tolist()}
                groups |= {symbol: (error[atoms], present[atoms]) for symbol, atoms in of_elements.items()}
            for of, values in groups.items():
                self._sums.setdefault((name, of), _Sums(error.device)).update(*values)

    def rows(self) -> list[ErrorRow]:
        """Return the errors so far: field by field, first those of all numbers, then element by element.

        What has no labels has no row.
        """
        keys = sorted(self._sums, key=lambda key: (self.fields.index(key[0]), atomic_numbers.get(key[1], 0)))
        found = [(*key, self._sums[key]) for key in keys]
        return [_row(name, of, sums) for name, of, sums in found if sums.count]


def _row(name: str, of: str, sums: _Sums) -> ErrorRow:
    errors = sums.errors()
    return ErrorRow(name, of, sums.count, *(errors[kind] for kind in ("mae", "rmse", "max")))
