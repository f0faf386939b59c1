"""Neighbors of structures that come without a neighbor list."""

from collections import Counter
from itertools import groupby

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pyg_nnp.errors import DataError
from pyg_nnp.functional.cell_list import pairs_by_cells
from pyg_nnp.functional.geometry import all_pairs, of_pairs, pair_distances, select_edges
from pyg_nnp.functional.periodic_search import periodic_pairs

# the number of atoms up to which all pairs of many molecules at once are faster than a tree, which takes one a call
_FEW_ATOMS = 150
# types of the devices where a tree is not
_BY_CELLS = ("cuda",)
MARGIN = 1e-6
"""In units of the cutoff; covers the rounding of distances in single precision, 3e-7."""
_OR_NONE = " Or leave edge_index out: the pairs are then searched for."


def find_edges(Ra: Tensor, N: Tensor, cutoff: float) -> Tensor:
    """Return the pairs of atoms of the same molecule that are nearer than the cutoff, without periodic images.

    Time and memory are proportional to the number of atoms. A molecule of more than 150 atoms is searched by SciPy's
    tree on a CPU, and by cells on a GPU.

    Args:
        Ra: (A, 3) positions [length], one molecule after the other.
        N: (G,) int64 number of atoms of each molecule.
        cutoff: greater than 0 [length]; ``inf`` for all pairs.

    Returns:
        (2, 2 P) int64 edges j -> i, ``j, i = edge_index``, on the device of the positions, with r < cutoff in the
        precision of the positions. As in :func:`pyg_nnp.data.neighbor_lists.full_neighbor_list`, first the P pairs
        i < j in lexicographic order, atoms counted over all molecules, then the same pairs reversed.

    Raises:
        DataError: a position is NaN, infinite or too large to be squared, or N does not add up to the positions.
    """
    Ra = Ra.detach()
    if Ra.device.type != "cpu" and len(Ra) <= _FEW_ATOMS:
        # in less time than a GPU takes to start all of this
        return find_edges(Ra.cpu(), N.cpu(), cutoff).to(Ra.device)
    sizes: list[int] = N.tolist()
    _check(Ra, sizes)
    found = [torch.empty((2, 0), dtype=torch.int64, device=Ra.device)]
    first = 0
    # a large molecule by itself, all small ones up to the next large one together
    for _, group in groupby(enumerate(sizes), lambda entry: entry[0] if entry[1] > _FEW_ATOMS else -1):
        counts = [size for _, size in group]
        positions = Ra[first : first + sum(counts)]
        few = counts[0] <= _FEW_ATOMS
        candidates = all_pairs(torch.tensor(counts, device=Ra.device)) if few else _search(positions, cutoff)
        within = (pair_distances(positions, candidates) < cutoff).nonzero().squeeze(1)  # (P,)
        found.append(select_edges(candidates, within) + first)
        first += len(positions)
    pairs = torch.cat(found, dim=1)  # (2, P)
    return torch.cat((pairs.flip(0), pairs), dim=1)  # (2, 2 P)


def find_edges_in_cells(Ra: Tensor, N: Tensor, cell: Tensor, pbc: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """Return the pairs of atoms and images of atoms that are nearer than the cutoff.

    Args:
        Ra: (A, 3) positions [length], one system after the other.
        N: (G,) int64 number of atoms of each.
        cell: (G, 3, 3) lattice vectors, one a row [length].
        pbc: (G, 3) whether each direction is periodic, 1 or 0.
        cutoff: greater than 0 [length].

    Returns:
        (2, 2 P) int64 edges j -> i, ``j, i = edge_index``, and (2 P, 3) int64 lattice translations, both on the device
        of the positions: of each system first its pairs, as :func:`pyg_nnp.functional.periodic_search.periodic_pairs`
        returns them, then the same pairs reversed.

    Raises:
        DataError: a position is NaN, infinite or too large to be squared, N does not add up to the positions, or a cell
            has no volume.
    """
    Ra, sizes = Ra.detach(), N.tolist()
    _check(Ra, sizes)
    edges, translations = [torch.empty((2, 0), dtype=torch.int64)], [torch.empty((0, 3), dtype=torch.int64)]
    cells = cell.detach().double().cpu().numpy()
    positions, first = Ra.double().cpu().numpy(), 0
    for size, h, periodic in zip(sizes, cells, pbc.cpu().numpy(), strict=True):
        found = periodic_pairs(positions[first : first + size], h, periodic, cutoff)
        pairs, T = torch.from_numpy(found[0]) + first, torch.from_numpy(found[1])
        edges += [pairs, pairs.flip(0)]
        translations += [T, -T]
        first += size
    return torch.cat(edges, dim=1).to(Ra.device), torch.cat(translations).to(Ra.device)  # (2, E), (E, 3)


def check_edges(edge_index: Tensor, num_atoms: int, Tij: Tensor | None = None, *, in_cells: bool = False) -> None:
    """Refuse a neighbor list that is not whole, (2, E) edges j -> i, ``j, i = edge_index``.

    In cells it has (E, 3) lattice translations ``Tij``.

    Raises:
        DataError: it is not int64 (2, E), names atoms that do not exist, has an edge from an atom to itself, or has a
            pair in one direction alone; or translations are missing, or of another shape.
    """
    if edge_index.dtype != torch.int64 or edge_index.dim() != 2 or len(edge_index) != 2:
        kind = str(edge_index.dtype).removeprefix("torch.")
        raise DataError(
            f"edge_index is {kind} of shape {tuple(edge_index.shape)}. Give int64 of shape (2, E): row 0 the sources "
            f"j, row 1 the targets i.{_OR_NONE}"
        )
    if in_cells and (Tij is None or Tij.shape != (edge_index.shape[1], 3) or Tij.is_floating_point()):
        found = "no Tij" if Tij is None else f"Tij of type {Tij.dtype} and shape {tuple(Tij.shape)}"
        raise DataError(
            f"in a periodic cell there is {found} beside edge_index. Give whole numbers of shape "
            f"({edge_index.shape[1]}, 3), the lattice translation of each edge.{_OR_NONE}"
        )
    if edge_index.numel() == 0:
        return
    lowest, highest = torch.stack(edge_index.aminmax()).tolist()  # of (2,)
    if lowest < 0 or highest >= num_atoms:
        raise DataError(
            f"edge_index names atom {lowest if lowest < 0 else highest}, but the atoms are 0 to {num_atoms - 1}. Set "
            f"num_nodes of each molecule before they are batched: PyG shifts edges by it.{_OR_NONE}"
        )
    # an index for both rows takes less time than a mask
    is_pair = of_pairs(edge_index, Tij)  # (E,)
    pairs, rest = is_pair.nonzero()[:, 0], is_pair.logical_not().nonzero()[:, 0]  # (P,), (E - P,)
    one, other = select_edges(edge_index, pairs), select_edges(edge_index, rest).flip(0)  # (2, P), (2, E - P)
    if Tij is not None:
        T, back = Tij.long().index_select(0, pairs), -Tij.long().index_select(0, rest)  # (P, 3), (E - P, 3)
        one, other = torch.cat((one, T.T)), torch.cat((other, back.T))  # (5, P), (5, E - P)
    # the usual list: pairs and then the same reversed, one molecule after the other
    if torch.equal(one, other):
        return
    loops = (edge_index[0] == edge_index[1]) & (True if Tij is None else (Tij == 0).all(dim=1))  # (E,)
    if loops.any():
        atom = int(edge_index[0, loops][0])
        raise DataError(
            f"edge_index has an edge from atom {atom} to itself, which only in a periodic cell may lead to an image. "
            f"Leave such edges out.{_OR_NONE}"
        )
    _refuse_one_way(one, other)


def _refuse_one_way(one: Tensor, other: Tensor) -> None:
    """Refuse (k, P) edges of pairs, and the others reversed, if they are not the same in any order."""
    keys = one.new_zeros(one.shape[1]), other.new_zeros(other.shape[1])  # (P,), (E - P,)
    for row, other_row in zip(one, other, strict=True):
        both = torch.cat((row, other_row))  # (E,)
        lowest, highest = both.aminmax()
        keys = tuple(key * (highest - lowest + 1) + (r - lowest) for key, r in zip(keys, (row, other_row), strict=True))
    if torch.equal(keys[0].sort().values, keys[1].sort().values):
        return
    there, back = (Counter(zip(*pairs.tolist(), strict=True)) for pairs in (one, other))
    alone = (there - back) + (back - there)
    if not alone:
        return
    atom, neighbor, *_ = min(alone)
    raise DataError(
        f"edge_index has pairs in one direction alone: {alone.total()}, the first between the atoms {neighbor} and "
        f"{atom}. Give both: torch.cat((edge_index, edge_index.flip(0)), dim=1) if each pair is there once.{_OR_NONE}"
    )


def _check(Ra: Tensor, sizes: list[int]) -> None:
    if sum(sizes) != len(Ra):
        raise DataError(f"N adds up to {sum(sizes)} atoms, but Ra has {len(Ra)} positions. Give one for each atom.")
    # farther out, squares of distances are infinite; a comparison with NaN is false
    near = (Ra.abs() < torch.finfo(Ra.dtype).max ** 0.5).all(dim=1)
    if not near.all():
        atom = int(near.logical_not().nonzero()[0])  # of (A,)
        place = ", ".join(f"{x:g}" for x in Ra[atom].tolist())
        raise DataError(
            f"atom {atom} is at ({place}): its neighbors cannot be found. In a simulation, take a shorter time step, "
            "or start from a structure that is more like the training data."
        )


def _search(Ra: Tensor, cutoff: float) -> Tensor:
    """Return (2, P) pairs i < j of one molecule, in lexicographic order: all within the cutoff, and a few beyond it."""
    Ra, reach, pairs = Ra.double(), (1 + MARGIN) * cutoff, None
    if Ra.device.type in _BY_CELLS and (pairs := pairs_by_cells(Ra, (1 + MARGIN) * reach)) is not None:
        pairs = pairs[:, pair_distances(Ra, pairs) < reach].sort(dim=0).values  # (2, P)
    if pairs is None:
        # i < j, but in no particular order
        found = cKDTree(Ra.cpu().numpy()).query_pairs(reach, output_type="ndarray")
        pairs = torch.from_numpy(found.T.astype(np.int64)).to(Ra.device)  # (2, P)
    keys = (pairs[0] * len(Ra) + pairs[1]).sort().values  # (P,)
    return torch.stack((keys.div(len(Ra), rounding_mode="floor"), keys % len(Ra)))  # (2, P)
