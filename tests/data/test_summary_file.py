"""The summary that is kept with a store is read again, and one that is not right is made anew."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.summary import DatasetSummary

Frame = dict[str, Any]
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
    monkeypatch.setattr("pyg_nnp.data.summary_file.LAYOUT", 2)
    assert_equal(right, MoleculeDataset(folder).summary)
    assert made == [folder, other, folder, folder]
    double = (folder / NAME).with_name("summary_float64.safetensors")
    double.write_bytes((folder / NAME).read_bytes())
    assert MoleculeDataset(folder, torch.float64).summary.fingerprint != right.fingerprint


def test_a_folder_that_cannot_be_written_to(
    frames: list[Frame], make_store: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_store(frames)

    def refuse(path: Path, pieces: Any) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr("pyg_nnp.data.summary_file.write_durably", refuse)
    with caplog.at_level(logging.INFO, "pyg_nnp"):
        assert MoleculeDataset(folder).elements == [1, 2, 8, 11]
    assert "the summary of the data set is not kept: Read-only file system." in caplog.text
    assert not any(record.levelno >= logging.WARNING for record in caplog.records)
    assert not (folder / NAME).exists()
