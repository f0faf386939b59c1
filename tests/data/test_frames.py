"""Frames gathered from flat rows, in memory or in the file of the store; batches are what PyG makes of them."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from batch_checks import assert_equal_batches, assert_equal_data
from torch_geometric.data import Batch

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import DataError

Frame = dict[str, Any]
OpenDataset = Callable[..., MoleculeDataset]
MakeStore = Callable[..., Path]


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
