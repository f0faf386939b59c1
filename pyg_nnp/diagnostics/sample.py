"""Some frames of a data set, for checks that do not need all; how many is bounded, whatever the size of the data."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.data.summary import MAX_PAIRS

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

_SMALL, _PAIRS_OF_SMALL = 200, 1_000_000


def evenly_spaced(dataset: "MoleculeDataset", number: int) -> Tensor:
    """Return (g,) at most ``number`` frames, evenly spaced."""
    return torch.linspace(0, len(dataset) - 1, min(number, len(dataset))).long()


def small_sample(dataset: "MoleculeDataset") -> Batch:
    """Return a batch of up to 200 frames, evenly spaced, fewer of large molecules."""
    fitting = max(1, _PAIRS_OF_SMALL // dataset.max_atoms**2)
    return dataset.batch(evenly_spaced(dataset, min(_SMALL, fitting)))


def in_batches(dataset: "MoleculeDataset", frames: Tensor) -> Iterator[Batch]:
    """Yield frames, (g,), in batches of at most some million pairs of atoms, on the CPU."""
    size = max(1, MAX_PAIRS // dataset.max_atoms**2)
    # in this process, since starting others takes longer than a few batches
    return (dataset.batch(frames[first : first + size]).cpu() for first in range(0, len(frames), size))
