"""One pass over a part of the data: all that a report shows of a potential's errors."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.config import Weights
from pyg_nnp.data.labels import has_labels, number_of_labels
from pyg_nnp.fields import COMPARED, FIELDS
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.predictor import large_batch, predictions
from pyg_nnp.training.metrics import ErrorTable, MetricSums
from pyg_nnp.training.report.sample import without_references
from pyg_nnp.training.report.types import Array, Evaluation, Points
from pyg_nnp.training.report.worst_frames import frame_errors, worst_frames

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

MAX_POINTS = 200_000
"""Numbers of a field that a plot shows at most, about; of more, a random choice."""

WORST = 10


def collect(
    potential: Potential,
    dataset: "MoleculeDataset",
    parts: Mapping[str, Tensor],
    wanted: Sequence[str],
    batch_size: int,
    *weights: Weights,
) -> Evaluation:
    """Evaluate a potential on the test part; where there is none, on the validation part, or else the training part.

    Memory holds some hundred thousand numbers of each field and one number for each frame.

    Args:
        potential: in evaluation mode.
        dataset: all frames.
        parts: the frames of each part.
        wanted: fields of the data set to be compared, as far as the potential predicts them.
        batch_size: frames to evaluate at once, at least.
        weights: the kinds and fields of the ``errors`` of the evaluation.
    """
    part = next(part for part in ("test", "validation", "training") if part in parts)
    frames = parts[part]
    labels = {name: number_of_labels(dataset.summary, name, frames) for name in wanted}
    fields = [name for name in COMPARED if labels.get(name) and name in potential.outputs]
    table, sums = ErrorTable(fields), MetricSums(potential.device, *weights)
    points = {name: _PointSample(name, labels[name]) for name in fields}
    worst_by = next(name for name in ("Fa", "E", *fields) if name in fields)
    scores = []
    size = large_batch(dataset.max_atoms, batch_size)
    batches = _shown(dataset.batches(frames, size), -(-len(frames) // size))
    for batch, predicted in predictions(potential, batches, cuda_graphs=False):
        table.update(predicted, batch)
        sums.update(predicted, batch)
        for name, found in points.items():
            found.add(batch, predicted[name], potential.atomic_energies)
        score = frame_errors(predicted, batch, worst_by)
        scores.append((score.abs() / batch.N if worst_by == "E" else score).cpu())
    # errors that are not finite are the worst, and frames without labels none at all
    has = torch.from_numpy(has_labels(dataset.summary, worst_by))[frames]
    order = torch.cat(scores)[has].nan_to_num(torch.inf).argsort(descending=True, stable=True)
    worst = worst_frames(potential, dataset, frames[has][order[:WORST]], fields)
    shown = {name: found.points() for name, found in points.items()}
    return Evaluation(part, len(frames), sums, shown, table.rows(), worst, worst_by)


class _PointSample:
    """A random sample of about :data:`MAX_POINTS` of all labels of a field, which come batch by batch."""

    def __init__(self, name: str, total: int) -> None:
        self.by_element = FIELDS[name].level == "atom" and not FIELDS[name].shape
        self.name, self.total = name, total
        self.fraction = MAX_POINTS / total
        self.generator = torch.Generator().manual_seed(0)
        self.kept: list[tuple[Array, Array, Array]] = []

    def add(self, batch: Batch, predicted: Tensor, atomic_energies: Tensor) -> None:
        true = batch[self.name]
        if self.name == "E":
            true, predicted = (without_references(E, batch.Za, batch.N, atomic_energies) for E in (true, predicted))
        kinds = batch.Za if self.by_element else torch.zeros(true.numel(), device=true.device)
        rows = torch.stack([values.double().reshape(-1).cpu() for values in (true, predicted, kinds)])
        rows = rows[:, ~rows[0].isnan()]
        if self.fraction < 1:
            rows = rows[:, torch.rand(rows.shape[1], generator=self.generator) < self.fraction]
        self.kept.append((rows[0].numpy(), rows[1].numpy(), rows[2].numpy()))

    def points(self) -> Points:
        true, predicted, kinds = (np.concatenate(values) for values in zip(*self.kept, strict=True))
        squares = [np.square(true[kinds == kind] - true[kinds == kind].mean()).sum() for kind in np.unique(kinds)]
        spread = math.sqrt(sum(squares) / max(len(true), 1))
        return Points(true, predicted, self.total, spread, kinds.astype(int) if self.by_element else None)


def _shown(batches: Iterable[Batch], count: int) -> Iterable[Batch]:
    console = Console(stderr=True)
    return track(batches, "report", total=count, console=console, transient=True, disable=not console.is_terminal)
