from itertools import permutations

import pytest
import torch
from crystals import periodic_data, some_crystals

from pyg_nnp.data import full_neighbor_list
from pyg_nnp.data.neighbor_lists import ListsInCells
from pyg_nnp.functional.geometry import offsets
from pyg_nnp.functional.neighbor_search import find_edges_in_cells


def test_three_atoms_by_hand() -> None:
    j, i = full_neighbor_list(3)
    # pairs i < j: (0, 1), (0, 2), (1, 2), then reversed
    assert i.tolist() == [0, 0, 1, 1, 2, 2]
    assert j.tolist() == [1, 2, 2, 0, 0, 1]


def test_lone_atom_has_no_edges() -> None:
    assert full_neighbor_list(1).shape == (2, 0)
    assert full_neighbor_list(1).dtype == torch.int64


@pytest.mark.parametrize("num_atoms", [2, 4, 7, 30])
def test_every_ordered_pair_once_and_the_halves_mirror_each_other(num_atoms: int) -> None:
    edge_index = full_neighbor_list(num_atoms)
    assert edge_index.dtype == torch.int64
    assert sorted(map(tuple, edge_index.T.tolist())) == sorted(permutations(range(num_atoms), 2))
    first, second = edge_index.chunk(2, dim=1)
    assert torch.equal(first.flip(0), second)
    assert bool((first[1] < first[0]).all())


def test_lists_in_cells_are_those_that_are_searched_for() -> None:
    """Any frames in any order, of all and of a subset."""
    systems = [periodic_data(atoms) for atoms in some_crystals()]
    systems[1].Ra[0] += 40_000 * systems[1].cell[0, 0]  # too far for two bytes
    lists = ListsInCells.search(4.0, ((s.Ra, s.cell[0], s.pbc[0]) for s in systems))
    for frames in ([3], [0, 1, 2, 3, 4, 5, 6], [6, 1, 1, 5]):
        chosen = [systems[frame] for frame in frames]
        Ra, N, cell, pbc = (torch.cat([s[name] for s in chosen]) for name in ("Ra", "N", "cell", "pbc"))
        edges, T = find_edges_in_cells(Ra, N, cell, pbc, 4.0)
        indices = torch.tensor(frames)
        for found, which in ((lists, indices), (lists.subset(indices), torch.arange(len(frames)))):
            edge_index, Tij, first = found.batch(which, offsets(N))
            assert torch.equal(edge_index, edges)
            assert torch.equal(Tij, T)
            counts = torch.tensor([find_edges_in_cells(s.Ra, s.N, s.cell, s.pbc, 4.0)[0].shape[1] for s in chosen])
            assert torch.equal(first, offsets(counts))
