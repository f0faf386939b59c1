"""Distances and sums over the atoms of a molecule."""

import torch
from torch import Tensor


def pair_distances(Ra: Tensor, pair_index: Tensor) -> Tensor:
    """Return the distances |R_i - R_j|.

    Args:
        Ra: (A, 3) positions.
        pair_index: (2, P) pairs of different atoms at different places.

    Returns:
        (P,)
    """
    first, second = pair_index
    delta: Tensor = Ra.index_select(0, first) - Ra.index_select(0, second)
    return delta.square().sum(dim=1).sqrt()


def first_atoms(N: Tensor) -> Tensor:
    """Return (G + 1,) the first atom of each molecule, and the number of all atoms, from (G,) numbers of atoms."""
    return torch.cat((N.new_zeros(1), N.cumsum(0)))


def sum_over_atoms(values: Tensor, batch: Tensor, num_molecules: int) -> Tensor:
    """Add up the rows of each molecule.

    Args:
        values: (A, ...).
        batch: (A,) molecule of each atom.
        num_molecules: G; given, since a molecule number says nothing about empty molecules at the end.

    Returns:
        (G, ...)
    """
    return values.new_zeros(num_molecules, *values.shape[1:]).index_add(0, batch, values)
