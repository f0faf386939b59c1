"""What is known of all frames, against numbers worked out frame by frame, and what is kept of it with the store."""

import dataclasses
import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.errors import DataError

Frame = dict[str, Any]
MakeStore = Callable[..., Path]
OpenDataset = Callable[..., MoleculeDataset]


def shortest(frames: list[Frame]) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = {}
    for frame in frames:
        for i, j in combinations(range(len(frame["Za"])), 2):
            low, high = sorted(frame["Za"][[i, j]].tolist())
            distance = float(np.linalg.norm(frame["Ra"][i] - frame["Ra"][j]))
            found[low, high] = min(distance, found.get((low, high), distance))
    return found


def test_numbers_of_each_frame(frames: list[Frame], make_store: MakeStore) -> None:
    summary = MoleculeDataset(make_store(frames), dtype=torch.float64).summary
    assert summary.elements.tolist() == [1, 2, 8, 11]
    assert summary.sizes.tolist() == [3, 1, 2, 1]
    assert summary.counts.tolist() == [[2, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert summary.Q.tolist() == [0, 0, -1, 1]
    assert summary.E.tolist() == [frame["E"] for frame in frames]
    forces_of = [frame["Fa"] for frame in frames]
    np.testing.assert_allclose(summary.largest_force, [np.linalg.norm(F, axis=1).max() for F in forces_of])
    np.testing.assert_allclose(summary.net_force, [np.linalg.norm(F.sum(axis=0)) for F in forces_of])
    np.testing.assert_allclose(summary.charge_error, [frame["Qa"].sum() - frame["Q"] for frame in frames])
    every_force = np.concatenate(forces_of)
    assert summary.ranges["Fa"] == pytest.approx((every_force.min(), every_force.max(), every_force.mean()))
    assert set(summary.ranges) == {"N", "Ra", "Za", "Q", "E", "Fa", "Qa", "M2"}
    assert summary.charges_in(torch.arange(len(summary.Q))) == [-1, 0, 1]
    assert summary.compositions_in(torch.arange(len(summary.Q))) == ["H2O", "HO", "He", "Na"]
    assert summary.periodic.tolist() == [0, 0, 0, 0]
    assert len(set(summary.molecules.tolist())) == 4


def test_shortest_distances(frames: list[Frame], make_store: MakeStore) -> None:
    rng = np.random.default_rng(0)
    more = [*frames, frames[0] | {"Ra": rng.normal(size=(3, 3))}]
    labels = {"Fa": np.zeros((4, 3)), "Qa": np.zeros(4)}
    more += [frames[0] | labels | {"N": 4, "Za": np.array([1, 6, 8, 6]), "Ra": rng.normal(size=(4, 3))}]
    summary = MoleculeDataset(make_store(more), dtype=torch.float64).summary
    for chosen in ([0], [1], [5, 2], [3, 1], range(6)):
        expected = shortest([more[i] for i in chosen])
        found = summary.shortest_distances(torch.tensor(chosen))
        assert found.keys() == expected.keys()
        assert found == pytest.approx(expected, rel=1e-14)
    assert summary.elements_in(torch.tensor([2, 1])) == [1, 2, 8]


def test_fingerprint_is_that_of_elements_and_positions(frames: list[Frame], make_store: MakeStore) -> None:
    rows = [np.array([frame["N"] for frame in frames])]
    rows += [np.concatenate([frame[name] for frame in frames]) for name in ("Za", "Ra")]
    rows[2] = rows[2].astype(np.float32)
    expected = hashlib.sha256(b"".join(values.tobytes() for values in rows)).hexdigest()
    assert MoleculeDataset(make_store(frames)).summary.fingerprint == expected
    moved = [frames[0] | {"Ra": frames[0]["Ra"] + 1e-3}, *frames[1:]]
    assert MoleculeDataset(make_store(moved)).summary.fingerprint != expected


def test_pieces_do_not_matter(frames: list[Frame], open_dataset: OpenDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(frames * 5)
    whole = dataset.summary
    monkeypatch.setattr("pyg_nnp.data.summary.MAX_PAIRS", 1)
    in_pieces = dataset[:].summary
    for name in (field.name for field in dataclasses.fields(whole)):
        value = getattr(whole, name)
        if name == "ranges":
            assert all(in_pieces.ranges[field] == pytest.approx(numbers) for field, numbers in value.items())
        else:
            np.testing.assert_equal(getattr(in_pieces, name), value, err_msg=name)


def test_subsets_and_copies_have_their_own(frames: list[Frame], open_dataset: OpenDataset) -> None:
    dataset = open_dataset(frames)
    assert dataset.elements == [1, 2, 8, 11]
    kept = sorted(dataset.folder.iterdir())
    for part in (dataset[2:], dataset[[1]].copy(), dataset.copy([3, 0])):
        expected = {int(Z) for i in range(len(part)) for Z in part[i].Za}
        assert set(part.elements) == expected
        assert part.summary.E.tolist() == [float(part[i].E) for i in range(len(part))]
        assert part.summary.fingerprint != dataset.summary.fingerprint
    assert sorted(dataset.folder.iterdir()) == kept


NAME = "summary_float32.safetensors"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of the stores whose frames were all looked at."""
    looked_at: list[Path] = []
    original = MoleculeDataset.blocks

    def blocks(self: MoleculeDataset, *args: Any) -> Iterator[Any]:
        looked_at.append(self.folder)
        yield from original(self, *args)

    monkeypatch.setattr(MoleculeDataset, "blocks", blocks)
    return looked_at


def assert_equal(one: DatasetSummary, other: DatasetSummary) -> None:
    for name, value in vars(one).items():
        read = getattr(other, name)
        np.testing.assert_equal(read, value, err_msg=name)
        assert type(read) is type(value)
        assert getattr(read, "dtype", None) == getattr(value, "dtype", None), name


@pytest.mark.parametrize("with_labels", [True, False])
def test_what_is_kept_is_read(frames: list[Frame], make_store: Any, made: list[Path], with_labels: bool) -> None:
    names = frames[0] if with_labels else ("N", "Ra", "Za", "Q")
    folder = make_store([{name: frame[name] for name in names} for frame in frames])
    first = MoleculeDataset(folder).summary
    assert made == [folder]
    assert (folder / NAME).is_file()
    assert_equal(first, MoleculeDataset(folder).summary)
    assert made == [folder]


def test_each_precision_has_its_own(frames: list[Frame], make_store: Any, made: list[Path]) -> None:
    folder = make_store(frames)
    for _ in range(2):
        single, double = (MoleculeDataset(folder, dtype).summary for dtype in (torch.float32, torch.float64))
        assert single.fingerprint != double.fingerprint
        assert single.pair_distances.dtype == np.float32
    assert made == [folder] * 2


def changed_byte(content: bytes, place: float) -> bytes:
    at = int(place * (len(content) - 1))
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGE = {
    f"byte at {place}": lambda content, place=place: changed_byte(content, place) for place in np.linspace(0, 1, 40)
}
DAMAGE |= {"empty": lambda content: b"", "cut short": lambda content: content[:-5], "text": lambda content: b"{}" * 50}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_damaged_one_is_made_again(damage: str, frames: list[Frame], make_store: Any, made: list[Path]) -> None:
    folder = make_store(frames)
    first = MoleculeDataset(folder).summary
    content = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(DAMAGE[damage](content))
    assert_equal(first, MoleculeDataset(folder).summary)
    assert made == [folder] * 2
    assert (folder / NAME).read_bytes() == content


def test_that_of_another_store_or_version_is_not_used(
    frames: list[Frame], make_store: Any, made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both stores have one hash, as two data files never have."""
    folder, other = make_store(frames), make_store([frames[0] | {"Ra": 2 * frames[0]["Ra"]}])
    right = MoleculeDataset(folder).summary
    assert MoleculeDataset(other).elements == [1, 8]
    (folder / NAME).write_bytes((other / NAME).read_bytes())
    assert_equal(right, MoleculeDataset(folder).summary)
    assert made == [folder, other, folder]
    monkeypatch.setattr("pyg_nnp.data.summary.LAYOUT", 99)
    assert_equal(right, MoleculeDataset(folder).summary)
    assert made == [folder, other, folder, folder]
    monkeypatch.setattr("pyg_nnp.data.summary.version", lambda package: f"{package} of tomorrow")
    assert_equal(right, MoleculeDataset(folder).summary)
    assert made == [folder, other, folder, folder, folder]
    double = (folder / NAME).with_name("summary_float64.safetensors")
    double.write_bytes((folder / NAME).read_bytes())
    assert MoleculeDataset(folder, torch.float64).summary.fingerprint != right.fingerprint


def test_a_folder_that_cannot_be_written_to(
    frames: list[Frame], make_store: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_store(frames)

    def refuse(path: Path, pieces: Any) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr("pyg_nnp.data.summary.write_durably", refuse)
    with caplog.at_level(logging.INFO, "pyg_nnp"):
        assert MoleculeDataset(folder).elements == [1, 2, 8, 11]
    assert "the summary of the data set is not kept: Read-only file system." in caplog.text
    assert not any(record.levelno >= logging.WARNING for record in caplog.records)
    assert not (folder / NAME).exists()


def test_of_a_large_summary_what_is_read_is_compared(
    frames: list[Frame], make_store: Any, made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_store(frames)
    right, path = MoleculeDataset(folder).summary, folder / NAME
    content = path.read_bytes()
    place = content.index(right.pair_distances.tobytes())
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    monkeypatch.setattr("pyg_nnp.data.summary._SMALL", 0)
    summary = MoleculeDataset(folder).summary
    np.testing.assert_array_equal(summary.counts, right.counts)
    with pytest.raises(DataError, match=re.escape(f"{path} is damaged. Delete it; it is made again from the store.")):
        _ = summary.pair_distances
    assert not hasattr(summary, "nothing")
    # a small one is made again
    monkeypatch.undo()
    assert_equal(MoleculeDataset(folder).summary, right)
