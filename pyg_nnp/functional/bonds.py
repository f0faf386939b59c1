"""Bonds, from the distances of atoms."""

import numpy as np
import torch
from ase.data import covalent_radii
from torch import Tensor

from pyg_nnp.functional.geometry import pair_distances
from pyg_nnp.functional.periodic_search import Array, periodic_pairs

NONMETALS = frozenset((1, 2, *range(5, 11), *range(14, 19), *range(32, 37), *range(51, 55), 85, 86))
"""Atomic numbers of the elements that form covalent bonds among themselves, metalloids included."""
_NO_CELL = np.zeros((3, 3)), np.zeros(3, dtype=bool)


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


def bonds(R: Array, Za: Array, factor: float = 1.25, cells: tuple[Array, Array] = _NO_CELL) -> Array:
    """Return (B, 2) pairs of atoms as near as covalent radii (Cordero et al., Dalton Trans. 2008, 2832) say.

    Args:
        R: (N, 3) positions [Å].
        Za: (N,) atomic numbers.
        factor: two atoms are bonded if they are nearer than so many times the sum of their radii.
        cells: (3, 3) lattice vectors [Å] and (3,) whether each direction is periodic, so that images count too.
    """
    radii = covalent_radii[Za]
    pairs, T = periodic_pairs(R, *cells, 2 * factor * float(radii.max()))
    j, i = pairs
    lengths = np.linalg.norm(R[j] - R[i] + T @ cells[0], axis=1)  # (P,)
    bonded: Array = pairs.T[lengths < factor * (radii[i] + radii[j])]  # (B, 2)
    return bonded
