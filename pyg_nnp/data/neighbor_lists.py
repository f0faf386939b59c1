"""Full neighbor lists: the one of each number of atoms, and those of a batch."""

from copy import copy

import torch
from torch import Tensor

from pyg_nnp.functional.geometry import offsets


def full_neighbor_list(num_atoms: int) -> Tensor:
    """Return every ordered pair of different atoms as edges j -> i.

    First the pairs i < j in lexicographic order, then the same pairs reversed, so that edge ``p`` and edge
    ``p + N (N - 1) / 2`` are one pair: what depends on the distance alone is computed for the first half only.

    Returns:
        (2, N (N - 1)) int64, row 0 the sources j, row 1 the targets i: ``j, i = edge_index``.
    """
    i, j = torch.triu_indices(num_atoms, num_atoms, offset=1)
    return torch.stack((torch.cat((j, i)), torch.cat((i, j))))


class NeighborLists:
    """The full neighbor lists of molecules: number of atoms N -> (2, N (N - 1)) int64."""

    def __init__(self, lists: dict[int, Tensor]) -> None:
        sizes = torch.tensor(list(lists))
        # one after the other, (2, L), and by number of atoms the first edge of its list, on the CPU
        self._edges = torch.cat(list(lists.values()), dim=1)
        self._first = torch.zeros(max(lists) + 1, dtype=torch.int64)
        self._first[sizes] = offsets(sizes * (sizes - 1))[:-1]
        self._single = len(lists) == 1

    def to(self, device: torch.device) -> "NeighborLists":
        """Return the same lists on a device."""
        moved = copy(self)
        moved._edges = self._edges.to(device)
        return moved

    def batch(self, sizes: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``edge_index``, (2, E), and (G + 1,) the first edge of each of G molecules, one after the other.

        They have ``sizes`` atoms, (G,), on the CPU, and first atoms ``ptr``, (G + 1,), on the device of the lists.
        """
        counts = sizes * (sizes - 1)
        edge_ptr = offsets(counts)
        if self._single:
            return (self._edges.unsqueeze(1) + ptr[:-1].view(1, -1, 1)).flatten(1), edge_ptr.to(ptr.device)
        total, repeats = int(edge_ptr[-1]), counts.to(ptr.device)
        first = (self._first.index_select(0, sizes) - edge_ptr[:-1]).to(ptr.device)
        edges = first.repeat_interleave(repeats, output_size=total).add_(torch.arange(total, device=ptr.device))
        edge_index = torch.empty((2, total), dtype=torch.int64, device=ptr.device)
        for row in (0, 1):
            # several times faster than to select columns of both rows at once
            torch.index_select(self._edges[row], 0, edges, out=edge_index[row])
        edge_index += ptr[:-1].repeat_interleave(repeats, output_size=total)
        return edge_index, edge_ptr.to(ptr.device)
