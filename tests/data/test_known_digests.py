import hashlib
import os
import time
from pathlib import Path

import pytest

from pyg_nnp.data.known_digests import FILE_NAME, KnownDigests


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "processed_dataset_0"
    folder.mkdir()
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Let time go on by a minute, and count the files that are read."""
    found: list[Path] = []

    def digest(path: Path) -> str:
        found.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr("pyg_nnp.data.known_digests.digest", digest)
    now = time.time
    monkeypatch.setattr("pyg_nnp.data.known_digests.time.time", lambda: now() + 60)
    return found


def of(path: Path, store: Path) -> str:
    known = KnownDigests(store.parent)
    found = known(path)
    known.keep(store)
    assert found == hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_a_file_is_read_once_as_long_as_it_does_not_change(tmp_path: Path, store: Path, reads: list[Path]) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(b"some")
    before = of(path, store)
    assert of(path, store) == before
    assert len(reads) == 1
    # of the same size and time, as after a tool that sets times
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(b"same")
    os.utime(path, ns=times)
    assert of(path, store) != before
    other = tmp_path / "other.npz"
    other.write_bytes(b"more")
    os.utime(other, ns=times)
    other.replace(path)
    of(path, store)
    assert len(reads) == 3


def test_what_changed_just_now_is_read_again(
    tmp_path: Path, store: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(b"some")
    monkeypatch.setattr("pyg_nnp.data.known_digests.time.time", lambda: path.stat().st_mtime + 1.0)
    of(path, store)
    of(path, store)
    assert len(reads) == 2
    assert not (store / FILE_NAME).exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 3}', b'{"a": [1]}', b"\xff"])
def test_a_damaged_note_is_made_again(tmp_path: Path, store: Path, reads: list[Path], content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(b"some")
    (store / FILE_NAME).write_bytes(content)
    of(path, store)
    of(path, store)
    assert len(reads) == 1
