"""Energies as plots show them."""

import torch
from torch import Tensor

from pyg_nnp.functional.geometry import sum_over_atoms


def without_references(E: Tensor, Za: Tensor, N: Tensor, atomic_energies: Tensor) -> Tensor:
    """Return (G,) energies less the reference energies of their atoms, which would hide all differences in a plot."""
    molecules = torch.arange(len(N), device=N.device).repeat_interleave(N)
    return E.double() - sum_over_atoms(atomic_energies[Za], molecules, len(N))
