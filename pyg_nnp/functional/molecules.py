"""What molecules consist of: elements, and bonds between atoms."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols, covalent_radii
from ase.formula import Formula
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor


def element_counts(N: Tensor, Za: Tensor, elements: Tensor) -> Tensor:
    """Return (G, K) how many atoms molecules have of each of (K,) elements: all that occur, in ascending order.

    Of (G,) numbers of atoms and (A,) atomic numbers.
    """
    molecule = torch.arange(len(N), device=N.device).repeat_interleave(N)  # (A,)
    cells = molecule * len(elements) + torch.searchsorted(elements, Za)
    return cells.bincount(minlength=len(N) * len(elements)).view(len(N), len(elements))  # (G, K)


def formula(Za: Iterable[int]) -> str:
    """Return the formula of a molecule in Hill's order."""
    return f"{Formula.from_list([chemical_symbols[Z] for Z in Za]):hill}"


def formulas(N: Tensor, Za: Tensor) -> set[str]:
    """Return all formulas of molecules, from (G,) numbers of atoms and (A,) atomic numbers."""
    elements = torch.unique(Za)
    different = torch.unique(element_counts(N, Za, elements), dim=0)
    return {formula(elements.repeat_interleave(counts).tolist()) for counts in different}  # formulas of (K,) counts


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
