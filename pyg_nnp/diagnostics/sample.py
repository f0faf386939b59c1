"""Some frames of a data set, for checks that do not need all; how many is bounded, whatever the size of the data."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.data.labels import has_all_labels
from pyg_nnp.data.summary import MAX_PAIRS, DatasetSummary

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

_SMALL, _PAIRS_OF_SMALL = 200, 1_000_000


def evenly_spaced(dataset: "MoleculeDataset", number: int, labels: Sequence[str] = ()) -> Tensor:
    """Return (g,) at most ``number`` frames, evenly spaced among those that have all of some labels."""
    return _spread(frames_with(dataset.summary, labels), number)


def frames_with(summary: DatasetSummary, labels: Sequence[str]) -> Tensor:
    """Return (g,) the frames that have all numbers of some labels."""
    chosen = np.ones(len(summary.sizes), dtype=bool)
    for name in labels:
        chosen &= has_all_labels(summary, name)
    return torch.from_numpy(np.flatnonzero(chosen))


def small_sample(dataset: "MoleculeDataset", frames: Tensor | None = None) -> Batch:
    """Return a batch of up to 200 frames, of all or of ``frames``, (g,), evenly spaced, fewer of large molecules."""
    frames = torch.arange(len(dataset)) if frames is None else frames
    fitting = max(1, _PAIRS_OF_SMALL // dataset.max_atoms**2)
    return dataset.batch(_spread(frames, min(_SMALL, fitting)))


def _spread(frames: Tensor, number: int) -> Tensor:
    return frames[torch.linspace(0, len(frames) - 1, min(number, len(frames))).long()]


def in_batches(dataset: "MoleculeDataset", frames: Tensor) -> Iterator[Batch]:
    """Yield frames, (g,), in batches of at most some million pairs of atoms, on the CPU."""
    size = max(1, MAX_PAIRS // dataset.max_atoms**2)
    # in this process, since starting others takes longer than a few batches
    return (dataset.batch(frames[first : first + size]).cpu() for first in range(0, len(frames), size))
