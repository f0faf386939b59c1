"""Files are whole or as they were."""

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EROFS
from pathlib import Path

import pytest

from pyg_nnp.runtime import files, logs
from pyg_nnp.runtime.files import replacing, write_durably


@contextmanager
def no_file_larger_than(limit: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durably(path, [b"ol", b"d"])
    write_durably(path, [b"new"])
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with no_file_larger_than(1000), pytest.raises(OSError, match="File too large") as raised:
        write_durably(path, [b"x" * 100_000])
    assert raised.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_does_not_keep_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(files, "digest", lambda path: "other")
    with pytest.raises(OSError, match="what was written reads differently"):
        write_durably(path, [b"new"])
    assert path.read_bytes() == b"old"


def test_synced_before_renamed_and_the_folder_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    def synced(descriptor: int) -> None:
        events.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")

    def replaced(source: Path, target: Path) -> None:
        events.append(f"rename {source.name} to {target.name}")

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    with replacing(tmp_path / "file", lambda path: events.append(f"verify {path.name}")) as temporary:
        temporary.write_bytes(b"x")
    name = temporary.name
    assert events == [f"sync {name}", f"verify {name}", f"rename {name} to file", f"sync {tmp_path.name}"]


def test_a_log_that_cannot_be_written_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with logs.run_log(tmp_path), no_file_larger_than(200):
        for number in range(50):
            logs.ROOT.info("message %d, which is as long as it has to be", number)
    (path,) = tmp_path.iterdir()
    message = capsys.readouterr().err
    assert message.count(f"{path} ends here, it cannot be written to any more: [Errno 27] File too large") == 1
    assert "message 49" in message
    assert "Traceback" not in message


def test_a_disk_that_becomes_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses to remove a file there even where there is none."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def refused(place: Path, *_: object, **__: object) -> None:
        raise OSError(EROFS, os.strerror(EROFS), str(place))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refused)
        patch.setattr(Path, "unlink", refused)
        with pytest.raises(OSError, match="Read-only file system") as raised:
            write_durably(path, [b"new"])
    assert raised.value.filename == str(path)
    assert path.read_bytes() == b"old"


def test_a_folder_that_is_taken_away_meanwhile(tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    def write() -> None:
        with files.locked_folder(folder):
            shutil.rmtree(folder)
            write_durably(folder / "file", [b"new"])

    with pytest.raises(OSError, match="No such file") as raised:
        write()
    assert raised.value.filename == str(folder / "file")
    # and the lock is free again
    with files.locked_folder(folder, wait=False):
        write_durably(folder / "file", [b"new"])
    assert (folder / "file").read_bytes() == b"new"
