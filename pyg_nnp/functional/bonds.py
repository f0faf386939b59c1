"""Bonds, from the distances of atoms."""

from typing import Any

import numpy as np
import torch
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from pyg_nnp.functional.geometry import pair_distances


def bonds_of_hydrogen(Ra: Tensor, Za: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
    """Find the bonds of hydrogen to C, N and O: from each H to its nearest atom, if that is one of them.

    Returns:
        (2, B) atoms, the hydrogen second, and (B,) lengths, from (A, 3), (A,) and (2, E), all neighbors.
    """
    edges = edge_index[:, Za[edge_index[1]] == 1]
    distances = pair_distances(Ra, edges)
    shortest = Ra.new_full((len(Ra),), torch.inf).scatter_reduce(0, edges[1], distances, "amin")
    bonded = (distances == shortest[edges[1]]) & torch.isin(Za[edges[0]], torch.tensor([6, 7, 8]))
    return edges[:, bonded], distances[bonded]


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
