from itertools import permutations

import pytest
import torch

from pyg_nnp.data import full_neighbor_list


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
