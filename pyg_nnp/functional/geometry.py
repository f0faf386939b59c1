"""Distances, bonds, elements and sums over the atoms of molecules."""

import torch
from torch import Tensor

_ELEMENTS = 119  # more than there are atomic numbers


def pair_vectors(Ra: Tensor, pair_index: Tensor) -> Tensor:
    """Return the (P, 3) vectors R_j - R_i of (2, P) pairs, ``j, i = pair_index``, of atoms at (A, 3) positions."""
    j, i = pair_index
    return Ra.index_select(0, j) - Ra.index_select(0, i)  # (P, 3)


def select_edges(edge_index: Tensor, chosen: Tensor) -> Tensor:
    """Return some (2, K) columns of (2, E) edges or pairs, by their (K,) numbers."""
    # row by row, in a third of the time that a selection of columns takes
    return torch.stack([row.index_select(0, chosen) for row in edge_index])  # (2, K)


def lengths(vectors: Tensor) -> Tensor:
    """Return the (P,) lengths of (P, 3) vectors, of which none is 0 where they are differentiated."""
    return vectors.square().sum(dim=1).sqrt()  # (P,)


def pair_distances(Ra: Tensor, pair_index: Tensor) -> Tensor:
    """Return the (P,) distances of (2, P) pairs of atoms at different (A, 3) positions."""
    return lengths(pair_vectors(Ra, pair_index))


def shortest_distances(Ra: Tensor, Za: Tensor, edge_index: Tensor) -> dict[tuple[int, int], float]:
    """Return the shortest distance of each two elements, the lighter one first, from (2, E) edges."""
    first, second = Za[edge_index[0]], Za[edge_index[1]]
    keys = _ELEMENTS * torch.minimum(first, second) + torch.maximum(first, second)
    shortest = Ra.new_full((_ELEMENTS**2,), torch.inf)
    shortest = shortest.scatter_reduce(0, keys, pair_distances(Ra, edge_index), "amin")
    found = shortest.isfinite().nonzero()[:, 0]  # (K,) pairs of elements
    return {divmod(key, _ELEMENTS): d for key, d in zip(found.tolist(), shortest[found].tolist(), strict=True)}


def offsets(counts: Tensor) -> Tensor:
    """Return (n + 1,) running sums that begin with 0: of numbers of atoms, the first atom of each molecule."""
    return torch.cat((counts.new_zeros(1), counts.cumsum(0)))  # (G + 1,)


def all_pairs(N: Tensor) -> Tensor:
    """Return (2, P) all pairs i < j of each molecule, in lexicographic order, from (G,) numbers of atoms."""
    atoms = torch.arange(int(N.sum()), device=N.device)
    after = N.cumsum(0).repeat_interleave(N) - atoms - 1  # how many atoms of its molecule follow an atom, (A,)
    i = atoms.repeat_interleave(after)  # (P,)
    # what precedes the first pair of an atom
    j = torch.arange(len(i), device=N.device) + (atoms + 1 - offsets(after)[:-1]).repeat_interleave(after)  # (P,)
    return torch.stack((i, j))  # (2, P)


def sum_over_atoms(values: Tensor, batch: Tensor, num_molecules: int) -> Tensor:
    """Return (G, ...) sums of (A, ...) rows, from (A,) the molecule of each atom.

    G is given, since molecule numbers say nothing about empty molecules at the end.
    """
    return values.new_zeros(num_molecules, *values.shape[1:]).index_add(0, batch, values)  # (G, ...)
