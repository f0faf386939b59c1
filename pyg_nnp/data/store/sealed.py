"""Files with a tree of digests, of which each block is compared with its digest before anything of it is used.

Behind the content lie the SHA-256 of its blocks of 64 KiB, 32 bytes each, and one line, the seal: the number of the
layout, and the SHA-256 of these digests. To open a file takes its seal and its digests, 1/2048 of its content.
"""

import hashlib
import io
import os
import re
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_nnp.errors import DataError

LAYOUT = 3
BLOCK = 1 << 16
"""Bytes that have one digest: a random frame costs as much at its first use."""

_DIGEST = 32
_SEAL = "\npyg_nnp store, layout {:03d}, sha256 {}\n"
_SEAL_LENGTH = len(_SEAL.format(LAYOUT, "0" * 64))
_OLDER = re.compile(rb"\npyg_nnp store, layout (\d{3}), sha256 [0-9a-f]{64}\n")

Numbers = NDArray[np.int64]


def unusable(path: Path, reason: str) -> DataError:
    """Return the error for a store that cannot be used."""
    return DataError(f"{path}: the processed data set {reason}. Delete its folder, or set Datahub.preload: false.")


def seal(path: Path) -> None:
    """Add the digests and the last line to a complete file."""
    with path.open("r+b") as file:
        digests = b"".join(hashlib.sha256(block).digest() for block in iter(lambda: file.read(BLOCK), b""))
        file.write(digests + _line(digests))


def _line(digests: bytes) -> bytes:
    return _SEAL.format(LAYOUT, hashlib.sha256(digests).hexdigest()).encode()


class SealedFile:
    """A sealed file that is expected to stay as it is, read at any place by any number of processes.

    No process moves a position that another one shares, so a forked process reads through the descriptor that it
    inherits. A copy and an unpickled one open the file themselves, at the first use.

    Attributes:
        size: bytes of the content.
        digest: of all of it, as the seal says.

    Raises:
        DataError: there is none, or its seal is not right.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise DataError(f"{path.parent}: there is no processed data set here ('{path.name}' is missing).")
        self._identity = _identity(path.stat())
        self._descriptor: int | None = None
        without_line = path.stat().st_size - _SEAL_LENGTH
        line = os.pread(self._open(), _SEAL_LENGTH, max(0, without_line))
        layout = _OLDER.fullmatch(line)
        if layout and int(layout[1]) != LAYOUT:
            raise unusable(path, f"has layout {int(layout[1])}, but this version of pyg_nnp reads {LAYOUT}")
        # so many blocks of content take as many bytes with their digests
        blocks = -(-without_line // (BLOCK + _DIGEST))
        self.size = without_line - _DIGEST * blocks
        self._digests = os.pread(self._open(), _DIGEST * max(0, blocks), max(0, self.size))
        if line != _line(self._digests):
            raise unusable(path, "is cut short or damaged, or was written by an older version of pyg_nnp")
        self.digest = line.split()[-1].decode()
        self._verified = np.zeros(blocks, dtype=bool)

    def verify(self) -> None:
        """Compare all blocks with their digests.

        Raises:
            DataError: one is damaged.
        """
        self._compare(np.flatnonzero(~self._verified))

    def read_into(self, target: memoryview, offsets: Numbers, sizes: Numbers) -> None:
        """Fill a buffer with pieces of the content, by their first bytes and lengths (n,), one after the other.

        Raises:
            DataError: a block that they are in is damaged, or the file was cut short or changed.
        """
        if not self._verified.all():
            self._compare(self._blocks_of(offsets, sizes))
        descriptor, done = self._open(), 0
        for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True):
            if os.preadv(descriptor, [target[done : done + size]], offset) != size:
                raise DataError(f"{self._path}: the processed data set was cut short while it was read. Start again.")
            done += size

    def _blocks_of(self, offsets: Numbers, sizes: Numbers) -> Numbers:
        """Return the blocks of some pieces that were not compared yet, each once."""
        wanted = np.zeros_like(self._verified)
        firsts, lasts = offsets // BLOCK, (offsets + sizes - 1) // BLOCK
        wanted[firsts] = wanted[lasts] = True
        for first, last in zip(*(ends[lasts > firsts + 1].tolist() for ends in (firsts, lasts)), strict=True):
            wanted[first : last + 1] = True
        return np.flatnonzero(wanted & ~self._verified)

    def _compare(self, blocks: Numbers) -> None:
        for block in blocks.tolist():
            first, last = block * BLOCK, min((block + 1) * BLOCK, self.size)
            content = os.pread(self._open(), last - first, first)
            if hashlib.sha256(content).digest() != self._digests[_DIGEST * block : _DIGEST * (block + 1)]:
                raise unusable(self._path, f"is cut short or damaged: bytes {first} to {last} are not what was written")
            self._verified[block] = True

    def _open(self) -> int:
        if self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, descriptor)
            if _identity(os.fstat(descriptor)) != self._identity:
                raise DataError(f"{self._path}: the processed data set was changed after it was opened. Start again.")
            self._descriptor = descriptor
        return self._descriptor

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_descriptor": None}


class Content(io.RawIOBase):
    """The content of a sealed file as a file for HDF5, which hides what is raised while it reads.

    Attributes:
        error: what was raised first.
    """

    def __init__(self, sealed: SealedFile) -> None:
        self._sealed, self._place = sealed, 0
        self.error: DataError | None = None

    def readinto(self, buffer: Any) -> int:
        """Read what fits into a buffer, up to the end."""
        target = memoryview(buffer).cast("B")
        size = max(0, min(len(target), self._sealed.size - self._place))
        try:
            if size:
                self._sealed.read_into(target[:size], np.array([self._place]), np.array([size]))
        except DataError as error:
            self.error = self.error or error
            raise
        self._place += size
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._sealed.size}[whence]
        return self._place

    def tell(self) -> int:
        """Return the place where reading goes on."""
        return self._place


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
