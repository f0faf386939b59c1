"""The full neighbor list of a molecule."""

import torch
from torch import Tensor


def full_neighbor_list(num_atoms: int) -> Tensor:
    """Return every ordered pair of different atoms as edges j -> i.

    First the pairs i < j in lexicographic order, then the same pairs reversed, so that edge ``p`` and edge
    ``p + N (N - 1) / 2`` are one pair: what depends on the distance alone is computed for the first half only.

    Args:
        num_atoms: number of atoms N of the molecule.

    Returns:
        (2, N (N - 1)) int64, row 0 the sources j, row 1 the targets i: ``j, i = edge_index``.
    """
    i, j = torch.triu_indices(num_atoms, num_atoms, offset=1)
    return torch.stack((torch.cat((j, i)), torch.cat((i, j))))
