"""Rows of a field that stay in the file of a store and are read from it where they lie."""

import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyg_nnp.errors import DataError

CPU = torch.device("cpu")


class StoredFile:
    """A file that is expected to stay as it is, read at any place by any number of processes.

    No process moves a position that another one shares, so a forked process reads through the descriptor that it
    inherits. A copy and an unpickled one open the file themselves, at the first use.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = _identity(path.stat())
        self._descriptor: int | None = None
        self._open()

    def read_into(self, target: NDArray[Any], offset: int) -> None:
        """Fill a contiguous array with the bytes from ``offset`` on.

        Raises:
            DataError: the file ends before, or is not the one that it was.
        """
        if os.preadv(self._open(), [target.data], offset) != target.nbytes:
            raise DataError(f"{self._path}: the processed data set was cut short while it was read. Start again.")

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


@dataclass(frozen=True)
class StoredRows:
    """All rows of a field, in chunks of a file.

    Attributes:
        file: the file.
        num_rows: number of rows.
        shape: of one row.
        stored: type of the numbers in the file.
        dtype: type of the numbers that are returned.
        chunk: rows in a chunk.
        offsets: where each chunk begins in the file.
        device: where rows are put.
    """

    file: StoredFile
    num_rows: int
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    dtype: np.dtype[Any]
    chunk: int
    offsets: tuple[int, ...]
    device: torch.device = CPU

    @property
    def nbytes(self) -> int:
        """Bytes that all rows take in memory."""
        return self.num_rows * int(np.prod(self.shape)) * self.dtype.itemsize

    def to(self, device: torch.device) -> "StoredRows":
        """Return the same rows, to be put on a device."""
        return replace(self, device=device)

    def read_all(self) -> Tensor:
        """Return all rows, (num_rows, ...)."""
        return self.read(torch.tensor([0]), torch.tensor([self.num_rows]))

    def read(self, firsts: Tensor, counts: Tensor) -> Tensor:
        """Return runs of rows, one after the other.

        Args:
            firsts: (n,) first row of each run.
            counts: (n,) number of its rows, at least 1.

        Raises:
            DataError: the file is not the one that it was.
            OSError: the file cannot be read.
        """
        rows: NDArray[Any] = np.empty((int(counts.sum()), *self.shape), dtype=self.dtype)
        done = 0
        with np.errstate(over="ignore"):  # what single precision cannot hold becomes infinite, as in torch
            for first, count in _joined(firsts.numpy(), counts.numpy()):
                for offset, some in self._pieces(first, count):
                    self._fill(rows[done : done + some], offset)
                    done += some
        return torch.from_numpy(rows).to(self.device)

    def _pieces(self, first: int, count: int) -> Iterator[tuple[int, int]]:
        """Yield where the parts of a run lie that are in one chunk each, and how many rows they have."""
        row_bytes = int(np.prod(self.shape)) * self.stored.itemsize
        while count:
            chunk, row = divmod(first, self.chunk)
            some = min(count, self.chunk - row)
            yield self.offsets[chunk] + row * row_bytes, some
            first, count = first + some, count - some

    def _fill(self, target: NDArray[Any], offset: int) -> None:
        if self.stored == self.dtype:
            self.file.read_into(target, offset)
            return
        numbers: NDArray[Any] = np.empty(target.shape, dtype=self.stored)
        self.file.read_into(numbers, offset)
        target[...] = numbers


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _joined(firsts: NDArray[np.int64], counts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield first row and number of rows of each run, those that follow each other as one."""
    new = np.ones(len(firsts), dtype=bool)
    new[1:] = firsts[1:] != (firsts + counts)[:-1]
    starts = np.flatnonzero(new)
    return zip(firsts[starts].tolist(), np.add.reduceat(counts, starts).tolist(), strict=True)
