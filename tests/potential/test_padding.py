from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch
from toy import toy_config, write_toy

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.layers.base import Fields
from pyg_nnp.potential.padding import capacity, filled_up, pairs_within, put_pairs

CONFIG = config_from_dict(toy_config(Modelhub__FF01__build_params__cutoff_sr=2.0, Trainer__dtype="float64"))


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoleculeDataset:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, names=("CH3CH2OH",))
    return MoleculeDataset.from_config(CONFIG, ".")


def test_room_for_pairs() -> None:
    for pairs in (0, 1, 31, 32, 33, 1000, 12345, 10**6):
        room = capacity(pairs)
        assert room > pairs
        assert room % 32 == 0
        assert room <= max(pairs + 32, pairs * 1.04)
    assert len({capacity(pairs) for pairs in range(10**4, 2 * 10**4)}) < 45


def inputs_of(batch: Batch) -> Fields:
    return pyg_nnp.build_potential(CONFIG, "FF01").inputs_of(batch)


def test_padding_atoms_are_a_molecule_of_their_own(dataset: MoleculeDataset) -> None:
    batch = dataset.batch([0, 1])
    inputs = inputs_of(batch)
    filled = filled_up(inputs, pairs_within(inputs, 2.0), 2.0)
    edges, atoms = filled["edge_index"], len(batch.Za)
    assert filled["batch"].tolist() == [*batch.batch.tolist(), 2, 2]
    padding = edges >= atoms
    assert torch.equal(padding[0], padding[1])
    assert padding[0].any()
    distances = (filled["Ra"][edges[0]] - filled["Ra"][edges[1]]).norm(dim=1)
    assert bool((distances < 2.0).all())
    # all pairs of the molecules are there
    theirs = (batch.Ra[batch.edge_index[0]] - batch.Ra[batch.edge_index[1]]).norm(dim=1) < 2.0
    expected = set(map(tuple, batch.edge_index[:, theirs].T.tolist()))
    assert set(map(tuple, edges[:, ~padding[0]].T.tolist())) == expected


def test_pairs_take_the_place_of_others(dataset: MoleculeDataset) -> None:
    few, many = (inputs_of(dataset.batch(frames)) for frames in ([0, 1], [2, 3]))
    pairs = pairs_within(few, 2.0)
    expected = filled_up(few, pairs, 2.0)["edge_index"]
    edge_index = filled_up(many, pairs_within(many, 2.0), 2.0)["edge_index"]
    assert edge_index.shape == expected.shape
    put_pairs(pairs[:, :3], edge_index)
    assert (edge_index[0] < len(few["Za"])).sum() == 6
    put_pairs(pairs, edge_index)
    assert torch.equal(edge_index, expected)
