"""Files that are complete or not there: written under another name, synced, verified, renamed; locked folders."""

import hashlib
import json
import logging
import math
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EAGAIN, EIO
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pyg_nnp.errors import ConfigError

logger = logging.getLogger(__name__)

# endings of files that are not complete yet, by which those of killed processes are found, and of lock files
PARTIAL = ".partial"
LOCK = ".lock"
_PIECE = 1 << 17  # bytes


@contextmanager
def replacing(path: Path, verify: Callable[[Path], None]) -> Iterator[Path]:
    """Write a file so that at any moment, also after a crash of the machine, the old one or the whole new one is there.

    Yields the path to write to, in the same folder, which must exist. ``verify`` reads the new file before it takes the
    place of the old one, and raises if it is not what it must be.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
    try:
        yield temporary
        sync(temporary)
        verify(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        # one that comes while writing does not know the file, and the temporary one means nothing to a user
        if error.filename in (None, str(temporary), temporary):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        # on a disk that has become read-only even that is refused, which would hide what went wrong
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """Raise a ConfigError where a file would be written over, or has no folder."""
    if path.exists() or path.is_symlink():
        raise ConfigError(f"{path}: is there already. Name another file, or move this one away.")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}. Make it, or name another file.")


def write_durably(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write bytes to a file, piece by piece, as :func:`replacing` does."""
    content = hashlib.sha256()

    def verify(written: Path) -> None:
        if digest(written) != content.hexdigest():
            raise OSError(EIO, "what was written reads differently")

    with replacing(path, verify) as temporary, temporary.open("wb") as file:
        for piece in pieces:
            file.write(piece)
            content.update(piece)


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read, durably; what is not finite becomes null."""
    write_durably(path, [(json.dumps(finite(value), indent=2, allow_nan=False) + "\n").encode()])


def finite(value: Any) -> Any:
    """Return nested dicts with each number that is not finite replaced by None, as JSON needs it."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sync(path: Path) -> None:
    """Have the operating system put a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(path: Path, leave: int = 0) -> str:
    """Return the SHA-256 of a file, its last ``leave`` bytes not included, in hexadecimal digits."""
    remaining, sha = path.stat().st_size - leave, hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(max(0, min(remaining, _PIECE))):
            sha.update(piece)
            remaining -= len(piece)
    return sha.hexdigest()


def stamp(description: str, contents: Iterable[bytes]) -> str:
    """Return a description and a digest as one text for the metadata of safetensors, which have no order."""
    sha = hashlib.sha256(description.encode())
    for content in contents:
        sha.update(content)
    return f"{description} sha256 {sha.hexdigest()}"


@contextmanager
def locked_folder(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Lock a folder, so that no other process writes into it.

    The folder is made if it is not there. What a killed process left half-written in it is removed, and the folder too
    if nothing else is in it at the end.

    Raises:
        BlockingIOError: another process has locked it, and is not to be waited for.
        OSError: the folder cannot be made, or nothing can be written to it.
    """
    lock = FileLock(folder / LOCK)
    _acquire(lock, folder, wait)
    try:
        for left_by_a_kill in folder.glob(f".*{PARTIAL}"):
            left_by_a_kill.unlink()
        yield
    finally:
        # while it is locked: a lock file that is removed later would be that of another process
        try:
            if [path.name for path in folder.glob("*")] == [LOCK]:
                (folder / LOCK).unlink()
                folder.rmdir()
        finally:
            lock.release()


def _acquire(lock: FileLock, folder: Path, wait: bool) -> None:
    waiting = False
    while not lock.is_locked:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=waiting)
        except Timeout as error:
            if not wait:
                raise BlockingIOError(EAGAIN, "another process is writing here", str(folder)) from error
            logger.info("%s: another process is writing here; waiting for it", folder)
            waiting = True
        except FileNotFoundError:
            continue  # that process failed and took the folder away
