"""Distances, bonds, elements and sums over the atoms of molecules."""

from typing import Any

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


def of_pairs(edge_index: Tensor, Tij: Tensor | None = None) -> Tensor:
    """Return (E,) which of (2, E) edges j -> i stand for their pair: those with j > i.

    Of an atom and its own images they are those whose (3,) translation, of (E, 3), begins with a positive number.
    """
    j, i = edge_index
    is_first = torch.gt(j, i)
    if Tij is None:
        return is_first
    x, y, z = Tij.unbind(dim=1)  # (E,)
    is_positive = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
    return is_first.logical_or(j.eq(i).logical_and(is_positive))


def translation_vectors(T: Tensor, cell: Tensor, batch: Tensor) -> Tensor:
    """Return (P, 3) the vectors of (P, 3) lattice translations in the cells, (G, 3, 3), of (P,) molecules."""
    vectors = cell.index_select(0, batch)  # (P, 3, 3)
    return torch.bmm(T.to(cell.dtype)[:, None], vectors)[:, 0]  # (P, 3)


def lengths(vectors: Tensor) -> Tensor:
    """Return the (P,) lengths of (P, 3) vectors, of which none is 0 where they are differentiated."""
    return vectors.square().sum(dim=1).sqrt()  # (P,)


def edge_distances(data: Any) -> Tensor:
    """Return the (E,) lengths of the edges of a batch, those of periodic images included."""
    vectors = pair_vectors(data.Ra.double(), data.edge_index)  # (E, 3)
    if "Tij" in data:
        of_edge = data.batch.index_select(0, data.edge_index[1])  # (E,)
        vectors = vectors + translation_vectors(data.Tij, data.cell, of_edge)
    return lengths(vectors)


def edges_within_cells(data: Any) -> Tensor:
    """Return (2, E) the edges of a batch that lead to no image."""
    edge_index: Tensor = data["edge_index"]
    return edge_index[:, (data["Tij"] == 0).all(dim=1)] if "Tij" in data else edge_index


def pair_distances(Ra: Tensor, pair_index: Tensor) -> Tensor:
    """Return the (P,) distances of (2, P) pairs of atoms at different (A, 3) positions."""
    return lengths(pair_vectors(Ra, pair_index))


def shortest_distances(Za: Tensor, edge_index: Tensor, distances: Tensor) -> dict[tuple[int, int], float]:
    """Return the shortest distance of each two elements, the lighter one first, of (E,) of (2, E) edges."""
    first, second = Za[edge_index[0]], Za[edge_index[1]]
    keys = _ELEMENTS * torch.minimum(first, second) + torch.maximum(first, second)
    shortest = distances.new_full((_ELEMENTS**2,), torch.inf)
    shortest = shortest.scatter_reduce(0, keys, distances, "amin")
    found = shortest.isfinite().nonzero()[:, 0]  # (K,) pairs of elements
    return {divmod(key, _ELEMENTS): d for key, d in zip(found.tolist(), shortest[found].tolist(), strict=True)}


def voigt(matrices: Tensor) -> Tensor:
    """Return (n, 6) the symmetric parts of (n, 3, 3) matrices, in the order xx, yy, zz, yz, xz, xy."""
    m = 0.5 * (matrices + matrices.transpose(1, 2))  # (n, 3, 3)
    return torch.stack((m[:, 0, 0], m[:, 1, 1], m[:, 2, 2], m[:, 1, 2], m[:, 0, 2], m[:, 0, 1]), dim=1)  # (n, 6)


def offsets(counts: Tensor) -> Tensor:
    """Return (n + 1,) running sums that begin with 0: of numbers of atoms, the first atom of each molecule."""
    return torch.cat((counts.new_zeros(1), counts.cumsum(0)))  # (G + 1,)


def all_pairs(N: Tensor) -> Tensor:
    """Return (2, P) all pairs i < j of each molecule, in lexicographic order, from (G,) numbers of atoms."""
    end = N.cumsum(0).repeat_interleave(N)  # (A,)
    atoms = torch.arange(end.shape[0], device=N.device)
    after = end - atoms - 1  # how many atoms of its molecule follow an atom, (A,)
    i = atoms.repeat_interleave(after)  # (P,)
    # what precedes the first pair of an atom
    j = torch.arange(i.shape[0], device=N.device) + (atoms + 1 - offsets(after)[:-1]).repeat_interleave(after)  # (P,)
    return torch.stack((i, j))  # (2, P)


def sum_over_atoms(values: Tensor, batch: Tensor, num_molecules: int) -> Tensor:
    """Return (G, ...) sums of (A, ...) rows, from (A,) the molecule of each atom.

    G is given, since molecule numbers say nothing about empty molecules at the end.
    """
    return values.new_zeros(num_molecules, *values.shape[1:]).index_add(0, batch, values)  # (G, ...)
