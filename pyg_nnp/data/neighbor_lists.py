"""Neighbor lists: the full one of each number of atoms, those within a cutoff in cells, and those of a batch."""

from collections.abc import Iterable
from copy import copy

import numpy as np
import torch
from torch import Tensor

from pyg_nnp.functional.geometry import offsets
from pyg_nnp.functional.periodic_search import periodic_pairs


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


class ListsInCells:
    """The pairs within a cutoff of n frames, each pair once, with lattice translations.

    Attributes:
        reach: the cutoff [length].
    """

    def __init__(self, reach: float, counts: Tensor, pairs: Tensor, translations: Tensor) -> None:
        """Take (n,) numbers of pairs, and one frame after the other (2, P) pairs j, i, counted in it, and (P, 3) T."""
        self.reach = reach
        self._counts, self._pairs, self._translations = counts, pairs, translations
        self._first = offsets(counts)[:-1]

    @classmethod
    def search(cls, reach: float, frames: Iterable[tuple[Tensor, Tensor, Tensor]]) -> "ListsInCells":
        """Search for the neighbors of frames, of which positions, (N, 3), cell, (3, 3), and pbc, (3,), come."""
        counts, pairs, translations = [], [np.empty((2, 0), np.int32)], [np.empty((0, 3), np.int16)]
        for Ra, cell, pbc in frames:
            found, T = periodic_pairs(Ra.numpy(), cell.numpy(), pbc.numpy(), reach)
            counts.append(found.shape[1])
            pairs.append(found.astype(np.int32))
            # atoms far outside of their cells have large ones
            is_small = len(T) == 0 or abs(T).max() <= np.iinfo(np.int16).max
            translations.append(T.astype(np.int16 if is_small else np.int32))
        arrays = (torch.from_numpy(np.concatenate(pairs, axis=1)), torch.from_numpy(np.concatenate(translations)))
        return cls(reach, torch.tensor(counts, dtype=torch.int64), *arrays)

    def to(self, device: torch.device) -> "ListsInCells":
        """Return the same lists on a device."""
        return ListsInCells(self.reach, self._counts, self._pairs.to(device), self._translations.to(device))

    def subset(self, frames: Tensor) -> "ListsInCells":
        """Return the lists of some frames, (G,)."""
        counts = self._counts[frames]
        rows = self._rows(frames, counts)
        return ListsInCells(self.reach, counts, self._pairs[:, rows], self._translations[rows])

    def batch(self, frames: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``edge_index``, (2, E), ``Tij``, (E, 3), and (G + 1,) the first edge of each of some frames, (G,).

        Of each frame there are its pairs, and then the same reversed. Its atoms begin at ``ptr``, (G + 1,).
        """
        frames = frames.cpu()
        counts = self._counts[frames]
        first, device = offsets(counts), self._pairs.device
        total = int(first[-1])
        rows = self._rows(frames, counts)
        shift = ptr[:-1].repeat_interleave(counts.to(device), output_size=total)  # (P,)
        pairs, T = self._pairs.index_select(1, rows).long() + shift, self._translations.index_select(0, rows).long()
        there = torch.arange(total, device=device) + first[:-1].to(device).repeat_interleave(counts.to(device))  # (P,)
        back = there + counts.to(device).repeat_interleave(counts.to(device))  # (P,)
        edge_index, Tij = pairs.new_empty(2, 2 * total), T.new_empty(2 * total, 3)
        edge_index[:, there], edge_index[:, back] = pairs, pairs.flip(0)
        Tij[there], Tij[back] = T, -T
        return edge_index, Tij, (2 * first).to(device)

    def _rows(self, frames: Tensor, counts: Tensor) -> Tensor:
        """Return (P,) where the pairs of some frames are."""
        first = offsets(counts)
        rows = (self._first[frames] - first[:-1]).repeat_interleave(counts) + torch.arange(int(first[-1]))
        return rows.to(self._pairs.device)
