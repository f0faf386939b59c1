"""Edges with a skin: whenever they are kept, they hold all pairs within reach."""

import numpy as np
import pytest
import torch
from ase import Atoms
from crystals import periodic_data, some_crystals
from torch_geometric.data import Data

from pyg_nnp.functional.geometry import edge_distances
from pyg_nnp.inference.neighbors import Neighbors

REACH, SKIN = 3.5, 0.6


def pairs_within(data: Data, edges: dict[str, torch.Tensor]) -> set[tuple[int, ...]]:
    whole = data.clone().update(edges)
    whole.batch = torch.zeros(len(data.Ra), dtype=torch.int64)
    rows = torch.cat((whole.edge_index, whole.Tij.T)).T[edge_distances(whole) < REACH]
    return {tuple(row) for row in rows.tolist()}


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("moved", ["atoms", "cell", "both"])
def test_kept_edges_hold_all_pairs(number: int, moved: str) -> None:
    atoms, rng = some_crystals()[number], np.random.default_rng(number)
    neighbors = Neighbors(periodic_data(atoms), REACH, SKIN)
    kept = 0
    for _ in range(60):
        changed = atoms.copy()
        size = rng.uniform(0, 0.25)
        if moved != "atoms":
            strain = np.eye(3) + rng.normal(scale=size / 3, size=(3, 3))
            changed.set_cell(atoms.cell @ strain)
            changed.positions = atoms.positions @ strain
        if moved != "cell":
            changed.positions += rng.normal(scale=size, size=(len(atoms), 3))
        data = periodic_data(changed)
        if neighbors.are_those_of(data):
            kept += 1
            assert pairs_within(data, neighbors.edges) == pairs_within(data, Neighbors(data, REACH, 0.0).edges)
    assert kept > 0
    assert kept < 60 or (moved == "cell" and not atoms.pbc.any())


def test_they_are_not_those_of_another_system() -> None:
    atoms = some_crystals()[0]
    neighbors = Neighbors(periodic_data(atoms), REACH, SKIN)
    assert neighbors.are_those_of(periodic_data(atoms))
    slab = atoms.copy()
    slab.pbc = [True, True, False]
    far = atoms.copy()
    far.positions[0] += atoms.cell[0]  # the same crystal, but other translations
    for other in (slab, far, atoms * (2, 1, 1), Atoms("H")):
        assert not neighbors.are_those_of(periodic_data(other))
