"""Frames gathered from flat rows, in memory or in the file of the store; batches are what PyG makes of them."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk
from batch_checks import assert_equal_batches, assert_equal_data
from crystals import labelled, some_crystals
from molecules import make_potential
from torch_geometric.data import Batch, Data

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset, preprocess
from pyg_nnp.errors import DataError
from pyg_nnp.functional.neighbor_search import find_edges_in_cells

Frame = dict[str, Any]
OpenDataset = Callable[..., MoleculeDataset]
MakeStore = Callable[..., Path]
MakeConfig = Callable[..., Config]


def test_sharing_does_not_change_the_data(waters: list[Frame], open_dataset: OpenDataset) -> None:
    shared, full = open_dataset(waters), open_dataset(waters, share=False)
    for one, other in zip(shared, full, strict=True):
        assert_equal_data(one, other)
    assert_equal_batches(shared.batch([4, 0, 2]), full.batch([4, 0, 2]))


def test_what_is_taken_out_is_not_the_data_set_itself(dataset: MoleculeDataset) -> None:
    for take in (lambda: dataset[0], lambda: dataset.batch([0, 1])):
        untouched, changed = take(), take()
        for name in changed.keys():  # noqa: SIM118
            if name != "num_nodes":
                changed[name] += 1
        assert_equal_data(take(), untouched)


@pytest.mark.parametrize("indices", [[], [-1], [4], [[0]]])
def test_batch_of_frames_that_do_not_exist(frames: list[Frame], open_dataset: OpenDataset, indices: list[Any]) -> None:
    with pytest.raises(IndexError, match=r"a batch takes one or more frames from 0 to 3, got \["):
        open_dataset(frames).batch(indices)


def test_both_ways_give_the_same_bits(frames: list[Frame], waters: list[Frame], make_store: MakeStore) -> None:
    # more atoms than a chunk has rows
    for number, some in enumerate((frames * 500, waters * 200)):
        folder = make_store(some)
        one, other = (MoleculeDataset(folder, in_memory=in_memory) for in_memory in (True, False))
        indices = torch.randperm(len(one), generator=torch.Generator().manual_seed(number))
        for mine, theirs in zip(one.batches(indices, 300), other.batches(indices, 300), strict=True):
            assert_equal_batches(mine, theirs)
        assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in one.fields)
        assert one.elements == other.elements


def test_frames_stay_in_the_store_where_memory_is_short(
    frames: list[Frame], make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_store(frames)
    rows = 7 * 3 * 8 + 7 * (3 + 1) * 4 + 4 * (3 + 1) * 4 + 7 * 8 + 4 * 8  # Ra; Fa, Qa; M2, Q; Za; E
    for available, in_memory in ((2 * rows, True), (2 * rows - 2, False)):
        monkeypatch.setattr("pyg_nnp.data.frames.available_memory", lambda available=available: available)
        dataset = MoleculeDataset(folder)
        assert dataset.in_memory == in_memory
        assert dataset.copy([0]).in_memory
        assert MoleculeDataset(folder, in_memory=True).in_memory
        assert not MoleculeDataset(folder, in_memory=False).in_memory


def test_lone_atom_between_two_molecules_by_hand(frames: list[Frame], open_dataset: OpenDataset) -> None:
    batch = open_dataset(frames).batch([0, 1, 2])
    assert batch.Za.tolist() == [8, 1, 1, 2, 8, 1]
    assert batch.batch.tolist() == [0, 0, 0, 1, 2, 2]
    assert batch.ptr.tolist() == [0, 3, 4, 6]
    assert batch.N.tolist() == [3, 1, 2]
    assert batch.Q.tolist() == [0.0, 0.0, -1.0]
    assert batch.num_nodes == 6
    # water's three pairs, both ways; none of helium's; hydroxide's one pair, both ways, behind four other atoms
    assert batch.edge_index.tolist() == [[1, 2, 2, 0, 0, 1, 5, 4], [0, 0, 1, 1, 2, 2, 4, 5]]
    assert batch.M2.shape == (3, 3)
    np.testing.assert_array_equal(batch.E.numpy(), [frame["E"] for frame in frames[:3]])
    np.testing.assert_allclose(batch.Ra.numpy(), np.concatenate([frame["Ra"] for frame in frames[:3]]), rtol=1e-6)


@pytest.mark.parametrize("indices", [[0], [1, 0], [0, 1, 1, 0], "all"])
def test_batch_is_what_pyg_makes_of_the_frames(dataset: MoleculeDataset, indices: list[int] | str) -> None:
    chosen = list(range(len(dataset)))[::-1] if indices == "all" else indices
    batch = dataset.batch(torch.tensor(chosen))
    assert_equal_batches(batch, Batch.from_data_list([dataset[i] for i in chosen]))
    for data, i in zip(batch.to_data_list(), chosen, strict=True):
        assert_equal_data(data, dataset[i])
    assert_equal_data(batch.get_example(len(chosen) - 1), dataset[chosen[-1]])
    assert_equal_batches(pickle.loads(pickle.dumps(batch)), batch)


def seen(batches: Iterator[Batch]) -> list[list[float]]:
    return [batch.E.tolist() for batch in batches]


def test_batches_in_order_keep_the_last_smaller_one(waters: list[Frame], open_dataset: OpenDataset) -> None:
    E = [frame["E"] for frame in waters]
    found = seen(open_dataset(waters).batches(torch.tensor([4, 0, 1, 3, 2]), 2))
    assert found == [[E[4], E[0]], [E[1], E[3]], [E[2]]]


def test_batches_are_shuffled_anew_by_the_generator_alone(waters: list[Frame], open_dataset: OpenDataset) -> None:
    dataset, indices = open_dataset(waters * 4), torch.arange(20)
    state = torch.get_rng_state()
    generator = torch.Generator().manual_seed(3)
    epochs = [seen(dataset.batches(indices, 8, generator)) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert [[len(batch) for batch in epoch] for epoch in epochs] == [[8, 8, 4]] * 2
    first, second = ([E for batch in epoch for E in batch] for epoch in epochs)
    assert first != second
    assert sorted(first) == sorted(second) == sorted(frame["E"] for frame in waters * 4)
    again = torch.Generator().manual_seed(3)
    assert [seen(dataset.batches(indices, 8, again)) for _ in range(2)] == epochs


@pytest.mark.parametrize("num_workers", [1, 2])
def test_processes_make_the_same_batches(frames: list[Frame], make_store: MakeStore, num_workers: int) -> None:
    folder = make_store(frames * 10)
    alone = MoleculeDataset(folder, in_memory=False)
    dataset = MoleculeDataset(folder, in_memory=False, num_workers=num_workers)
    state = torch.get_rng_state()
    for chosen in (dataset, dataset[5:31]):
        indices = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))
        expected = alone.batches(indices, 7) if chosen is dataset else alone[5:31].batches(indices, 7)
        for batch, other in zip(chosen.batches(indices, 7), expected, strict=True):
            assert_equal_data(batch, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert MoleculeDataset(folder, in_memory=True, num_workers=num_workers).num_workers == 0


@pytest.mark.parametrize("num_workers", [0, 2])
def test_store_that_is_cut_short_while_it_is_read(frames: list[Frame], make_store: MakeStore, num_workers: int) -> None:
    folder = make_store(frames * 10)
    dataset = MoleculeDataset(folder, in_memory=False, num_workers=num_workers)
    with (folder / "dataset.h5").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(DataError, match=r"^.*dataset\.h5: the processed data set was cut short .* Start again\.$"):
        list(dataset.batches(torch.arange(40), 8))


OF_CRYSTALS = {
    "data_format": "extxyz",
    "features": {"Ra": "positions", "Za": "numbers", "cell": "cell"},
    "targets": {"E": "energy", "Fa": "forces", "S": "stress"},
    "allow_missing": ["S"],
}


@pytest.fixture
def crystals(tmp_path: Path) -> Path:
    path = tmp_path / "crystals.xyz"
    ase.io.write(path, [labelled(atoms) for atoms in some_crystals()], format="extxyz")
    return path


@pytest.mark.parametrize("in_memory", [True, False])
def test_crystals_and_molecules_become_batches(
    make_config: MakeConfig, crystals: Path, out: Path, in_memory: bool
) -> None:
    config = make_config(data_path=str(crystals), **OF_CRYSTALS)
    dataset = MoleculeDataset(preprocess(config, out), torch.float64, in_memory=in_memory)
    systems = [labelled(atoms) for atoms in some_crystals()]
    frames = [4, 0, 5, 6, 3, 4]
    assert "edge_index" not in dataset.batch(frames)
    dataset.find_neighbors(4.0)
    batch = dataset.batch(frames)
    expected = Batch.from_data_list([dataset[i] for i in frames])
    for one in (batch, expected):
        one.S = one.S.nan_to_num(7.0)
    assert_equal_batches(batch, expected)
    for number, frame in enumerate(frames):
        data, atoms = dataset[frame], systems[frame]
        cell = atoms.cell.array if atoms.pbc.any() else np.zeros((3, 3))
        np.testing.assert_allclose(batch.cell[number], cell, atol=1e-7)
        assert batch.pbc[number].tolist() == atoms.pbc.astype(int).tolist()
        np.testing.assert_allclose(data.Ra, atoms.positions, atol=1e-7)
        found = find_edges_in_cells(data.Ra, data.N, data.cell, data.pbc, 4.0)
        assert torch.equal(data.edge_index, found[0])
        assert torch.equal(data.Tij, found[1])
        if atoms.pbc.all():
            np.testing.assert_allclose(data.S[0], atoms.get_stress(), atol=1e-7)
        else:
            assert data.S.isnan().all()
    part = dataset.copy([6, 1])
    assert torch.equal(part[1].Tij, dataset[1].Tij)
    # what the data set has found is what a potential finds
    entries = [(name, {}) for name in ("RangeSeparation", "GaussianSmearing", "RandomAtomEmbedding")]
    entries += [("Core", {"num_interactions": 1}), ("EnergyReduce", {}), ("Force", {}), ("Stress", {})]
    potential = make_potential(entries).eval()
    expected = potential(Data.from_dict({n: batch[n] for n in ("Ra", "Za", "N", "Q", "cell", "pbc", "batch")}))
    for name, values in potential(batch).items():
        torch.testing.assert_close(values, expected[name], rtol=1e-12, atol=1e-12)


def test_one_cell_of_all_frames_is_stored_once(make_config: MakeConfig, tmp_path: Path, out: Path) -> None:
    frames = [bulk("Cu", cubic=True) for _ in range(3)]
    for number, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=number)
    ase.io.write(tmp_path / "a.xyz", [labelled(atoms) for atoms in frames])
    config = make_config(data_path=str(tmp_path / "a.xyz"), **OF_CRYSTALS)
    dataset = MoleculeDataset(preprocess(config, out))
    assert {"cell", "pbc"} <= dataset.info.shared
    np.testing.assert_allclose(dataset.batch([2, 0]).cell, [frames[0].cell.array] * 2)
    frames[2].set_cell(frames[2].cell * 1.1)
    ase.io.write(tmp_path / "a.xyz", [labelled(atoms) for atoms in frames])
    dataset = MoleculeDataset(preprocess(config, out))
    assert not {"cell"} & dataset.info.shared
    np.testing.assert_allclose(dataset.cell, [atoms.cell.array for atoms in frames], atol=1e-7)


def test_a_cell_that_is_not_there(make_config: MakeConfig, crystals: Path, tmp_path: Path, out: Path) -> None:
    options = {**OF_CRYSTALS, "features": {**OF_CRYSTALS["features"], "cell": "cel"}}
    with pytest.raises(DataError, match=r"frame 0: the frame is periodic, but 'cel' .* map cell: cell"):
        preprocess(make_config(data_path=str(crystals), **options), out)
    ase.io.write(tmp_path / "a.xyz", labelled(some_crystals()[5]))
    with pytest.raises(DataError, match=r"'cel' \(cell\) makes no frame periodic. Correct the name, or take it out"):
        preprocess(make_config(data_path=str(tmp_path / "a.xyz"), **options), out)


def test_cells_in_another_unit(make_config: MakeConfig, tmp_path: Path, out: Path) -> None:
    atoms = labelled(bulk("Cu", cubic=True))
    atoms.cell[:] = np.eye(3) * 0.19
    ase.io.write(tmp_path / "a.xyz", atoms)
    config = make_config(data_path=str(tmp_path / "a.xyz"), **OF_CRYSTALS)
    with pytest.raises(
        DataError, match=r"frame 0: 'cell' \(cell\) puts atom \d and an image of atom \d nearer than 0.2 Å"
    ):
        preprocess(config, out)
