"""Frames that stand for a data set, and their numbers."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyg_nnp.functional.geometry import pair_distances, sum_over_atoms
from pyg_nnp.training.report.types import Sample

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

_MAX_ATOMS = 200_000


def sample(dataset: "MoleculeDataset", atomic_energies: Tensor) -> Sample:
    """Return the numbers of frames chosen at random, all of a small data set; ``atomic_energies`` are (119,)."""
    generator = torch.Generator().manual_seed(0)
    count = min(len(dataset), max(1, _MAX_ATOMS // dataset.max_atoms))
    # in the order of the store, which is read faster
    chosen = torch.randperm(len(dataset), generator=generator)[:count].sort().values
    blocks = list(dataset.blocks(dataset.fields, chosen))
    values = {name: torch.cat([block[name].cpu() for block in blocks]) for name in dataset.fields}
    if "E" in values:
        values["E"] = without_references(values["E"], values["Za"], values["N"], atomic_energies.cpu())
    distances = _some_distances(values["Ra"].double(), values["N"], generator)
    arrays = {name: rows.double().numpy() for name, rows in values.items()}
    return Sample(count, len(dataset), arrays, distances.numpy())


def without_references(E: Tensor, Za: Tensor, N: Tensor, atomic_energies: Tensor) -> Tensor:
    """Return (G,) energies less the reference energies of their atoms, which would hide all differences in a plot."""
    molecules = torch.arange(len(N), device=N.device).repeat_interleave(N)
    return E.double() - sum_over_atoms(atomic_energies[Za], molecules, len(N))


def _some_distances(Ra: Tensor, N: Tensor, generator: torch.Generator) -> Tensor:
    """Return the distance from each atom to another one of its frame; lone atoms have none."""
    first, sizes = (N.cumsum(0) - N).repeat_interleave(N), N.repeat_interleave(N)
    atoms = torch.arange(len(Ra))
    steps = 1 + (torch.rand(len(Ra), generator=generator) * (sizes - 1)).long()
    others = first + (atoms - first + steps) % sizes
    return pair_distances(Ra, torch.stack([atoms, others])[:, sizes > 1])
