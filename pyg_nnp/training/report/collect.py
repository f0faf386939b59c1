"""One pass over a part of the data: all that a report shows of a potential's errors."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.difference import difference
from pyg_nnp.functional.geometry import sum_over_atoms
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.fit import large_batch
from pyg_nnp.training.metrics import ErrorRow, ErrorTable

Array = NDArray[Any]

MAX_POINTS = 200_000
"""Numbers of a field that a plot shows at most, about; of more, a random choice."""

WORST = 10


@dataclass(frozen=True)
class Points:
    """True and predicted numbers of a field, those of molecules and atoms one after the other.

    Attributes:
        true: (n,) of ``E`` what reference energies leave.
        predicted: (n,) likewise.
        of: how many there are in the part, of which these are a random choice.
        spread: standard deviation of the true ones; of numbers of single atoms from the mean of their element.
        Za: (n,) atomic numbers, if each atom has one of these numbers.
    """

    true: Array
    predicted: Array
    of: int
    spread: float = math.nan
    Za: Array | None = None


@dataclass(frozen=True)
class Frame:
    """A frame that is predicted badly.

    Attributes:
        index: in the data set, counted from 0.
        Za: (N,) atomic numbers.
        Ra: (N, 3) positions.
        errors: field -> root mean square of its errors in this frame; of ``E`` predicted minus true energy.
        of_atoms: (N,) length of the error of the force on each atom; None without forces.
    """

    index: int
    Za: Array
    Ra: Array
    errors: dict[str, float]
    of_atoms: Array | None


@dataclass(frozen=True)
class Evaluation:
    """The errors of a potential on a part.

    Attributes:
        part: its name.
        frames: how many it has.
        points: field -> true and predicted numbers.
        rows: errors over all frames, in total and by element.
        worst: the worst frames of all, the worst first.
        worst_by: the field by whose error they were chosen: forces, else the energy per atom, else what there is.
    """

    part: str
    frames: int
    points: dict[str, Points]
    rows: list[ErrorRow]
    worst: list[Frame]
    worst_by: str


def collect(
    potential: Potential,
    dataset: MoleculeDataset,
    parts: Mapping[str, Tensor],
    fields: Sequence[str],
    batch_size: int,
) -> Evaluation:
    """Evaluate a potential on the test part; where there is none, on the validation part, or else the training part.

    Memory holds some hundred thousand numbers of each field and one number for each frame.

    Args:
        potential: in evaluation mode.
        dataset: all frames.
        parts: the frames of each part.
        fields: to be compared; the potential predicts them, the data set has them.
        batch_size: frames to evaluate at once, at least.
    """
    part = next(part for part in ("test", "validation", "training") if part in parts)
    frames, device = parts[part], potential.device
    atoms = sum(int(block["N"].sum()) for block in dataset.blocks(["N"], frames))
    table = ErrorTable(fields)
    points = {name: _Points(name, len(frames), atoms) for name in fields}
    worst_by = next(name for name in ("Fa", "E", *fields) if name in fields)
    scores = []
    size = large_batch(dataset, batch_size)
    for batch in _shown(dataset.batches(frames, size), -(-len(frames) // size)):
        batch = batch.to(device)
        predicted = potential(batch)
        table.update(predicted, batch)
        for name, found in points.items():
            found.add(batch, predicted[name], potential.atomic_energies)
        score = _frame_errors(predicted, batch, worst_by)
        scores.append((score.abs() / batch.N if worst_by == "E" else score).cpu())
    # what is not a number is worst of all
    order = torch.cat(scores).nan_to_num(torch.inf).argsort(descending=True, stable=True)
    return Evaluation(
        part,
        len(frames),
        {name: found.points() for name, found in points.items()},
        table.rows(),
        worst_frames(potential, dataset, frames[order[:WORST]], fields),
        worst_by,
    )


def worst_frames(potential: Potential, dataset: MoleculeDataset, frames: Tensor, fields: Sequence[str]) -> list[Frame]:
    """Return some frames with the errors of their fields and atoms, in this order."""
    batch = dataset.batch(frames).to(potential.device)
    predicted = potential(batch)
    errors = {name: _frame_errors(predicted, batch, name).tolist() for name in fields}
    of_atoms = _numpy(difference(predicted, batch, "Fa").norm(dim=1)) if "Fa" in fields else None
    Za, Ra, ptr = batch.Za.cpu().numpy(), _numpy(batch.Ra), batch.ptr.tolist()
    return [
        Frame(
            int(index),
            Za[first:end],
            Ra[first:end],
            {name: values[number] for name, values in errors.items()},
            None if of_atoms is None else of_atoms[first:end],
        )
        for number, (index, first, end) in enumerate(zip(frames, ptr[:-1], ptr[1:], strict=True))
    ]


def without_references(E: Tensor, Za: Tensor, N: Tensor, atomic_energies: Tensor) -> Tensor:
    """Return (G,) energies less the reference energies of their atoms, which would hide all differences in a plot."""
    molecules = torch.arange(len(N), device=N.device).repeat_interleave(N)
    return E.double() - sum_over_atoms(atomic_energies[Za], molecules, len(N))


def _frame_errors(predicted: Mapping[str, Tensor], batch: Batch, name: str) -> Tensor:
    """Return (G,) root mean squares of a field's errors; predicted minus true energy for ``E``."""
    error = difference(predicted, batch, name).double()
    if name == "E":
        return error
    squares = error.square().reshape(len(error), -1).mean(dim=1)
    if FIELDS[name].level == "atom":
        squares = sum_over_atoms(squares, batch.batch, len(batch.N)) / batch.N
    return squares.sqrt()


class _Points:
    """Chooses numbers of a field at random, batch by batch, so that about :data:`MAX_POINTS` are kept."""

    def __init__(self, name: str, frames: int, atoms: int) -> None:
        rows = atoms if FIELDS[name].level == "atom" else frames
        self.of_elements = FIELDS[name].level == "atom" and not FIELDS[name].shape
        self.name, self.total = name, rows * math.prod(map(int, FIELDS[name].shape))
        self.share = MAX_POINTS / self.total
        self.generator = torch.Generator().manual_seed(0)
        self.kept: list[tuple[Array, Array, Array]] = []

    def add(self, batch: Batch, predicted: Tensor, atomic_energies: Tensor) -> None:
        true = batch[self.name]
        if self.name == "E":
            true, predicted = (without_references(E, batch.Za, batch.N, atomic_energies) for E in (true, predicted))
        kinds = batch.Za if self.of_elements else torch.zeros(true.numel(), device=true.device)
        rows = torch.stack([values.double().reshape(-1).cpu() for values in (true, predicted, kinds)])
        if self.share < 1:
            rows = rows[:, torch.rand(rows.shape[1], generator=self.generator) < self.share]
        self.kept.append((rows[0].numpy(), rows[1].numpy(), rows[2].numpy()))

    def points(self) -> Points:
        true, predicted, kinds = (np.concatenate(values) for values in zip(*self.kept, strict=True))
        squares = [np.square(true[kinds == kind] - true[kinds == kind].mean()).sum() for kind in np.unique(kinds)]
        spread = math.sqrt(sum(squares) / max(len(true), 1))
        return Points(true, predicted, self.total, spread, kinds.astype(int) if self.of_elements else None)


def _numpy(values: Tensor) -> Array:
    result: Array = values.detach().double().cpu().numpy()
    return result


def _shown(batches: Iterable[Batch], count: int) -> Iterable[Batch]:
    console = Console(stderr=True)
    return track(batches, "report", total=count, console=console, transient=True, disable=not console.is_terminal)
