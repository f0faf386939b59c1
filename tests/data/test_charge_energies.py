"""Energies of total charges that were put in are found."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pyg_nnp.config import Transforms
from pyg_nnp.data import MoleculeDataset, reference_energies
from pyg_nnp.data.charge_energies import energies_of_charges

Frame = dict[str, Any]
ATOMS = {1: -13.6, 8: -2040.0, 6: -1030.0}
OpenDataset = Callable[..., MoleculeDataset]


def molecule(Za: list[int], Q: float, seed: int, E: float) -> Frame:
    Ra = np.random.default_rng(seed).normal(size=(len(Za), 3))
    return {"N": len(Za), "Ra": Ra, "Za": np.array(Za), "Q": Q, "E": E}


def ions(charges: list[float], positive: float = 8.0, negative: float = -1.5) -> list[Frame]:
    """Return water and methane, each with all charges."""
    frames = []
    for seed, Q in enumerate(charges):
        for Za in ([8, 1, 1], [6, 1, 1, 1, 1]):
            E = sum(ATOMS[Z] for Z in Za) + positive * max(Q, 0) + negative * min(Q, 0)
            frames.append(molecule(Za, Q, seed, E))
    return frames


def fitted(dataset: MoleculeDataset) -> np.ndarray:
    return energies_of_charges(dataset, torch.arange(len(dataset)))


@pytest.mark.parametrize(
    ("charges", "expected"),
    [
        ([0, 1, -1], [8.0, -1.5]),
        ([0, 0, 2, 1], [8.0, 0.0]),
        ([-1, 0, -2], [0.0, -1.5]),
        ([0, 0], [0.0, 0.0]),
        ([1, 1], [0.0, 0.0]),  # what is the same in all belongs to the atoms
    ],
)
def test_fit(charges: list[float], expected: list[float], open_dataset: OpenDataset) -> None:
    dataset = open_dataset(ions(charges))
    found = fitted(dataset)
    assert found == pytest.approx(expected, abs=1e-6)
    # the atoms have what the charges have not
    references = reference_energies(dataset, Transforms(atomic_energy="fit"), None, found)
    for frame, counts in (([8, 1, 1], (2, 0, 1)), ([6, 1, 1, 1, 1], (4, 1, 0))):
        energies = references.atomic_energies[torch.tensor(frame)].sum().item()
        offset = 8.0 if charges == [1, 1] else 0.0
        assert energies == pytest.approx(sum(n * ATOMS[Z] for n, Z in zip(counts, (1, 6, 8), strict=True)) + offset)


def test_charges_that_follow_from_the_composition_have_none(open_dataset: OpenDataset) -> None:
    frames = [molecule([8, 1], -1.0, seed, -2050.0 + seed) for seed in range(3)]
    frames += [molecule([8, 1, 1], 0.0, seed, -2070.0 + seed) for seed in range(3)]
    assert fitted(open_dataset(frames)).tolist() == [0, 0]


def test_only_frames_of_the_training_part_count(open_dataset: OpenDataset) -> None:
    frames = ions([0, 1])
    dataset = open_dataset([*frames, *ions([1], positive=1e5)])
    assert energies_of_charges(dataset, torch.arange(len(frames))) == pytest.approx([8.0, 0.0])


def test_without_energies_there_are_none(frames: list[Frame], open_dataset: OpenDataset) -> None:
    without = [{name: value for name, value in frame.items() if name != "E"} for frame in frames]
    assert fitted(open_dataset(without)).tolist() == [0, 0]
