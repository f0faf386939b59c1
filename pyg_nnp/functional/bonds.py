"""Which atoms are bonded, by their distances."""

from typing import Any

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.spatial import cKDTree


def bonds(R: NDArray[Any], Za: NDArray[Any], factor: float = 1.25) -> NDArray[Any]:
    """Return (B, 2) pairs of atoms as near as covalent radii (Cordero et al., Dalton Trans. 2008, 2832) say.

    Args:
        R: (N, 3) positions [Å].
        Za: (N,) atomic numbers.
        factor: two atoms are bonded if they are nearer than so many times the sum of their radii.
    """
    radii = covalent_radii[Za]
    pairs = cKDTree(R).query_pairs(2 * factor * float(radii.max()), output_type="ndarray")
    lengths = np.linalg.norm(R[pairs[:, 0]] - R[pairs[:, 1]], axis=1)
    bonded: NDArray[Any] = pairs[lengths < factor * radii[pairs].sum(axis=1)]  # (B, 2)
    return bonded
