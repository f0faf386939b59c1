"""Digests of data files that were read before, so that a start does not read all of them again."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyg_nnp.runtime.files import digest, write_json

FILE_NAME = "data_files.json"
_SETTLED = 2.0  # seconds without a change, after which another one shows in the times of a file


class KnownDigests:
    """The SHA-256 of files, kept beside stores with what tells that a file has not changed since.

    A digest holds as long as path, inode, size, and the times of change of content and of inode are the same, the last
    of which nothing but the clock sets. That of a file that was changed just before is not kept.
    """

    def __init__(self, out: Path) -> None:
        self._known: dict[str, list[Any]] = {}
        for path in sorted(out.glob(f"processed_dataset_*/{FILE_NAME}")):
            try:
                found = json.loads(path.read_bytes())
                self._known |= {file: entry for file, entry in found.items() if len(entry) == 2}
            except (OSError, ValueError, AttributeError, TypeError):
                continue  # it is made again
        self._used: dict[str, list[Any]] = {}

    def __call__(self, path: Path) -> str:
        """Return the digest of a file, which is read if it is not known."""
        key, before = str(path.resolve()), status(path)
        known = self._known.get(key)
        if known is not None and known[0] == before:
            self._used[key] = known
            return str(known[1])
        is_settled = time.time() - max(before[2:]) / 1e9 > _SETTLED
        found = digest(path)
        if is_settled and status(path) == before:
            self._used[key] = [before, found]
        return found

    def keep(self, folder: Path) -> None:
        """Keep the digests that were asked for in the folder of a store, if they are not there yet."""
        if any(self._known.get(key) != entry for key, entry in self._used.items()):
            try:
                write_json(folder / FILE_NAME, self._used)
            except OSError:
                return  # as in a folder of somebody else; next time the files are read again


def status(path: Path) -> list[int]:
    """Return inode, size and times of change of a file, which a change of it changes."""
    found = path.stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def statuses(paths: Sequence[Path]) -> list[list[int]]:
    """Return the status of several files."""
    return [status(path) for path in paths]
