"""Elements and formulas of molecules."""

from collections.abc import Iterable

import torch
from ase.data import chemical_symbols
from ase.formula import Formula
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
