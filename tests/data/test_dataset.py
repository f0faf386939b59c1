import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from batch_checks import assert_equal_batches, assert_equal_data
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import DataError

Frame = dict[str, Any]
OpenDataset = Callable[..., MoleculeDataset]


def test_one_molecule_in_many_frames_by_hand(waters: list[Frame], open_dataset: OpenDataset) -> None:
    batch = open_dataset(waters, torch.float64).batch([3, 1])
    assert batch.Za.tolist() == [8, 1, 1, 8, 1, 1]
    assert batch.batch.tolist() == [0, 0, 0, 1, 1, 1]
    assert batch.edge_index.tolist() == [[1, 2, 2, 0, 0, 1, 4, 5, 5, 3, 3, 4], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]]
    for name in ("Ra", "Fa", "Qa"):
        expected = np.concatenate([waters[3][name], waters[1][name]])
        np.testing.assert_array_equal(batch[name].numpy(), expected)
    np.testing.assert_array_equal(batch.M2.numpy(), [waters[3]["M2"], waters[1]["M2"]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_frame(frames: list[Frame], open_dataset: OpenDataset, dtype: torch.dtype) -> None:
    for data, frame in zip(open_dataset(frames, dtype), frames, strict=True):
        N = frame["N"]
        shapes = {"N": (1,), "Ra": (N, 3), "Za": (N,), "Q": (1,), "E": (1,), "Fa": (N, 3), "Qa": (N,), "M2": (1, 3)}
        assert {name: tuple(data[name].shape) for name in shapes} == shapes
        assert data.num_nodes == N
        assert data.edge_index.shape == (2, N * (N - 1))
        assert (data.N.dtype, data.Za.dtype, data.edge_index.dtype) == (torch.int64,) * 3
        assert {data[name].dtype for name in ("Q", "Fa", "Qa", "M2")} == {dtype}
        assert data.E.dtype == data.Ra.dtype == torch.float64
        assert data.validate()
        for name in shapes:
            expected = torch.as_tensor(frame[name], dtype=data[name].dtype).reshape(shapes[name])
            assert torch.equal(data[name], expected)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pyg_data_loader(frames: list[Frame], open_dataset: OpenDataset, num_workers: int, method: str) -> None:
    if num_workers == 0 and method == "spawn":
        pytest.skip("without worker processes there is nothing to spawn")
    dataset = open_dataset(frames)
    context = method if num_workers else None
    loader = DataLoader(dataset, batch_size=3, num_workers=num_workers, multiprocessing_context=context)
    found = list(loader)
    assert [batch.num_graphs for batch in found] == [3, 1]
    for batch, expected in zip(found, dataset.batches(torch.arange(4), 3), strict=True):
        assert_equal_data(batch, expected)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (slice(1, 3), [1, 2]),
        ([3, 0], [3, 0]),
        (torch.tensor([2, 2]), [2, 2]),
        (torch.tensor([True, False, False, True]), [0, 3]),
        (np.array([1, 3]), [1, 3]),
        (slice(None, 0.5), [0, 1]),
        (slice(None, None, -1), [3, 2, 1, 0]),
    ],
)
def test_subsets(frames: list[Frame], open_dataset: OpenDataset, index: Any, expected: list[int]) -> None:
    dataset = open_dataset(frames)
    part = dataset[index]
    assert isinstance(part, MoleculeDataset)
    assert len(part) == len(expected)
    for data, i in zip(part, expected, strict=True):
        assert_equal_data(data, dataset[i])
    whole = dataset.batch(expected)
    assert_equal_batches(part.batch(range(len(expected))), whole)
    assert part.E.tolist() == [frames[i]["E"] for i in expected]
    assert part.Za.tolist() == whole.Za.tolist()
    assert part.elements == sorted(set(whole.Za.tolist()))
    # a subset of a subset, and a copy of it that stands alone
    last = part[-1:]
    assert last.E.tolist() == [frames[expected[-1]]["E"]]
    copied = part.copy()
    assert copied.len() == len(copied) == len(expected)
    assert_equal_batches(copied.batch(range(len(expected))), whole)
    assert_equal_data(part.copy([0])[0], dataset[expected[0]])
    assert len(dataset) == 4


def test_copy_is_deep(dataset: MoleculeDataset) -> None:
    before = dataset.batch([0, 1])
    copied = dataset.copy()
    assert_equal_batches(copied.batch([0, 1]), before)
    for value in copied._frames.values.values():
        value += 1
    assert_equal_batches(dataset.batch([0, 1]), before)


def test_rest_of_pyg(frames: list[Frame], open_dataset: OpenDataset, tmp_path: Path) -> None:
    dataset = open_dataset(frames)
    before = sorted(path for path in tmp_path.rglob("*"))
    assert repr(dataset) == "MoleculeDataset(4)"
    shuffled, order = dataset.shuffle(return_perm=True)
    assert_equal_data(shuffled[0], dataset[int(order[0])])
    assert (dataset.num_node_features, dataset.num_edge_features, dataset.num_classes) == (0, 0, 0)
    assert_equal_data(copy.deepcopy(dataset)[2], dataset[2])
    assert_equal_data(dataset.cpu()[2], dataset[2])
    collated, _ = MoleculeDataset.collate(list(dataset))
    assert_equal_data(dataset.data, collated)
    assert dataset.get_summary().num_nodes.max == 3
    assert not hasattr(dataset, "x")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dataset.nonsense  # noqa: B018
    with pytest.raises(NotImplementedError, match="folder of its store"):
        dataset.load("data.pt")
    assert sorted(path for path in tmp_path.rglob("*")) == before, "nothing is written"


def test_on_disk_copy(frames: list[Frame], open_dataset: OpenDataset, tmp_path: Path) -> None:
    dataset = open_dataset(frames)
    on_disk = dataset.to_on_disk_dataset(str(tmp_path / "on_disk"), log=False)
    for i in range(4):
        assert torch.equal(on_disk[i].Ra, dataset[i].Ra)
        assert torch.equal(on_disk[i].edge_index, dataset[i].edge_index)
    on_disk.close()


def test_transform_is_applied_to_frames_and_batches(
    frames: list[Frame], tmp_path: Path, open_dataset: OpenDataset
) -> None:
    def center(data: Data) -> Data:
        data.Ra = data.Ra - data.Ra.mean(dim=0)
        return data

    plain = open_dataset(frames)
    dataset = MoleculeDataset(plain.folder, transform=center)
    assert torch.allclose(dataset[0].Ra.sum(dim=0), torch.zeros(3, dtype=torch.float64), atol=1e-6)
    assert_equal_batches(dataset.batch([0, 2]), Batch.from_data_list([dataset[0], dataset[2]]))


def test_information_from_the_store(frames: list[Frame], open_dataset: OpenDataset) -> None:
    dataset = open_dataset(frames, energies={1: -0.5})
    assert dataset.fields == ("N", "Ra", "Za", "Q", "E", "Fa", "Qa", "M2")
    assert dataset.sources["Fa"] == "grad"
    assert dataset.atomic_energies == {1: -0.5}
    assert dataset.hash == "0123456789abcdef"
    assert dataset.elements == [1, 2, 8, 11]


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no processed data set here"):
        MoleculeDataset(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_damage_within_the_numbers_is_noticed(frames: list[Frame], open_dataset: OpenDataset) -> None:
    path = open_dataset(frames).folder / "dataset.h5"
    content, forces = path.read_bytes(), frames[0]["Fa"].tobytes()
    assert content.count(forces) == 1
    path.write_bytes(content.replace(forces, forces[:-8] + np.float64(0.25).tobytes()))
    with pytest.raises(DataError, match=r"dataset\.h5: the processed data set is cut short or damaged"):
        MoleculeDataset(path.parent)


def test_missing_part_is_noticed(frames: list[Frame], open_dataset: OpenDataset) -> None:
    path = open_dataset(frames).folder / "dataset.h5"
    with h5py.File(path, "a") as file:
        del file["neighbor_lists"]
    with pytest.raises(DataError, match="is cut short or damaged"):
        MoleculeDataset(path.parent)


def test_blocks_are_the_rows_piece_by_piece(
    frames: list[Frame], open_dataset: OpenDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 3 atoms in the largest frame: two frames at a time
    monkeypatch.setattr("pyg_nnp.data.dataset._ATOMS_AT_ONCE", 6)
    dataset = open_dataset(frames * 2)
    chosen = torch.tensor([7, 0, 2, 5, 5])
    for part, indices, sizes in (
        (dataset, None, [2, 2, 2, 2]),
        (dataset, chosen, [2, 2, 1]),
        (dataset[1:4], None, [2, 1]),
    ):
        blocks = list(part.blocks(["Za", "E", "N"], indices))
        assert [len(block["N"]) for block in blocks] == sizes
        assert [list(block) for block in blocks] == [["Za", "E", "N"]] * len(sizes)
        batch = part.batch(torch.arange(len(part)) if indices is None else indices)
        for name in ("Za", "E", "N"):
            assert torch.equal(torch.cat([block[name] for block in blocks]), batch[name])
