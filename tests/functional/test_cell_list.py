"""Pairs by cells; that all within the width are there is seen in the tests of the search for neighbors."""

import pytest
import torch

from pyg_nnp.functional.cell_list import pairs_by_cells


def cluster(num_atoms: int) -> torch.Tensor:
    """Return positions as dense as in organic matter, 0.1 atoms per cubic Å."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(num_atoms, 3, generator=generator, dtype=torch.float64) * (10 * num_atoms) ** (1 / 3)


def test_each_pair_is_there_once():
    pairs = pairs_by_cells(cluster(300), 4.0)
    assert pairs is not None
    assert len({frozenset(pair) for pair in pairs.T.tolist()}) == pairs.shape[1]
    assert (pairs[0] != pairs[1]).all()


def test_pairs_grow_with_the_number_of_atoms():
    few, many = (pairs_by_cells(cluster(n), 2.0) for n in (3000, 30000))
    assert 10 < many.shape[1] / few.shape[1] < 12


@pytest.mark.parametrize("num_atoms", [0, 1])
def test_no_pairs(num_atoms: int):
    assert pairs_by_cells(cluster(num_atoms), 4.0).shape == (2, 0)


def test_too_many_cells():
    assert pairs_by_cells(torch.tensor([[0.0, 0, 0], [1e7, 0, 0]], dtype=torch.float64), 5.0) is None
