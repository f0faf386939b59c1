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


def formula(Za: Iterable[int], is_periodic: bool = False) -> str:
    """Return the formula of a molecule in Hill's order.

    Of a periodic system it is that of the smallest whole numbers, since how many atoms a cell has is a matter of its
    size, and ends in ``(periodic)``.
    """
    found = Formula.from_list([chemical_symbols[Z] for Z in Za])
    return f"{found.reduce()[0]:hill} (periodic)" if is_periodic else f"{found:hill}"


def formulas(N: Tensor, Za: Tensor, pbc: Tensor | None = None) -> set[str]:
    """Return all formulas of systems.

    Args:
        N: (G,) numbers of atoms.
        Za: (A,) atomic numbers.
        pbc: (G, 3) whether each direction is periodic; left out where none is.
    """
    elements = torch.unique(Za)
    is_periodic = torch.zeros_like(N) if pbc is None else pbc.any(dim=1).to(N.dtype)  # (G,)
    rows = torch.cat((element_counts(N, Za, elements), is_periodic[:, None]), dim=1)  # (G, K + 1)
    different = torch.unique(rows, dim=0)  # (D, K + 1)
    return {
        formula(elements.repeat_interleave(row[:-1]).tolist(), bool(row[-1])) for row in different
    }  # of (K,) counts
