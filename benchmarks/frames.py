"""The molecules that are measured: the example's alanine dipeptide, and deterministic clusters of it of any size."""

import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "alanine_dipeptide"
TRIES = 1000  # random places of a molecule of which the best is taken

Frame = dict[str, Any]


@cache
def dipeptides() -> list[Frame]:
    """Return the frames of the example, 22 atoms each."""
    with (EXAMPLE / "dataset.pkl").open("rb") as file:
        frames: list[Frame] = pickle.load(file)
    return frames


def peptides(num_frames: int) -> list[Frame]:
    """Return frames as dense as those of a peptide anion of 64 atoms: 770 pairs within 5 Å in each."""
    return [cluster(64, seed, charge=-1, contact=2.2) for seed in range(num_frames)]


def cluster(num_atoms: int, seed: int = 0, charge: int = 0, contact: float = 1.8) -> Frame:
    """Return dipeptides packed about as densely as in a liquid, with labels that are only good for measuring time.

    Args:
        num_atoms: the last molecule is cut off there.
        seed: of the molecules and their places.
        charge: the total charge.
        contact: no atoms of two molecules are closer [Å].
    """
    rng = np.random.default_rng([num_atoms, seed])
    positions, numbers = np.empty((0, 3)), np.empty(0, dtype=np.int64)
    while len(positions) < num_atoms:
        molecule = dipeptides()[rng.integers(len(dipeptides()))]
        positions = np.concatenate((positions, _place(molecule["coordinates"], positions, contact, rng)))
        numbers = np.concatenate((numbers, molecule["atomic_numbers"]))
    return {
        "number_of_atoms": num_atoms,
        "coordinates": positions[:num_atoms],
        "atomic_numbers": numbers[:num_atoms],
        "total_charge": charge,
        "energy": -1.5 * num_atoms,
        "forces": rng.normal(scale=0.04, size=(num_atoms, 3)),
        "atomic_charges": rng.normal(scale=0.2, size=num_atoms),
        "dipole": rng.normal(size=3),
    }


def _place(molecule: NDArray[Any], others: NDArray[Any], contact: float, rng: np.random.Generator) -> NDArray[Any]:
    """Return the molecule turned and moved to the best of many random places: free, and nearest to the origin."""
    if not len(others):
        return molecule - molecule.mean(axis=0)
    tree, radius = cKDTree(others), 1.1 * np.linalg.norm(others, axis=1).max()
    while True:
        rotations = Rotation.random(TRIES, rng=rng).as_matrix()
        directions = rng.normal(size=(TRIES, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        centers = radius * rng.uniform(size=(TRIES, 1)) ** (1 / 3) * directions
        placed = (molecule - molecule.mean(axis=0)) @ rotations + centers[:, None]
        free = np.isinf(tree.query(placed, distance_upper_bound=contact)[0]).all(axis=1)
        if free.any():
            nearest = np.where(free, np.linalg.norm(centers, axis=1), np.inf).argmin()
            return placed[nearest]
        radius *= 1.1
