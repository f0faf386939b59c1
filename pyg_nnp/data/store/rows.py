"""Rows of a field that stay in the file of a store, from which any of them are read."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyg_nnp.data.store.sealed import SealedFile

RowNumbers = NDArray[np.int64]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class StoredRows:
    """All rows of a field, in chunks of a file.

    Attributes:
        shape: of one row.
        stored: type of the numbers in the file.
        dtype: type of the numbers that are returned.
        chunk: rows in a chunk.
        offsets: (chunks,) where each chunk begins in the file.
        device: where rows are put.
    """

    file: SealedFile
    num_rows: int
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    dtype: np.dtype[Any]
    chunk: int
    offsets: NDArray[np.int64]
    device: torch.device = CPU

    @property
    def nbytes(self) -> int:
        """Bytes that all rows take in memory."""
        return self.num_rows * math.prod(self.shape) * self.dtype.itemsize

    def to(self, device: torch.device) -> "StoredRows":
        """Return the same rows, to be put on a device."""
        return replace(self, device=device)

    def read_all(self) -> Tensor:
        """Return all rows, (num_rows, ...); only some are held in memory twice."""
        rows = torch.from_numpy(np.empty((self.num_rows, *self.shape), dtype=self.dtype)).to(self.device)
        for first in range(0, self.num_rows, self.chunk):
            count = min(self.chunk, self.num_rows - first)
            rows[first : first + count] = self.read(torch.tensor([first]), torch.tensor([count]))
        return rows

    def read(self, firsts: Tensor, counts: Tensor) -> Tensor:
        """Return runs of rows one after the other, by the first row, (n,), and number of rows, (n,) >= 1, of each."""
        rows: NDArray[Any] = np.empty((int(counts.sum()), *self.shape), dtype=self.stored)
        row_bytes = math.prod(self.shape) * self.stored.itemsize
        chunks, begins, ends = _cut(*_joined(firsts.numpy(), counts.numpy()), self.chunk)
        offsets = self.offsets[chunks] + (begins - chunks * self.chunk) * row_bytes
        sizes = (ends - begins) * row_bytes
        self.file.read_into(rows.data.cast("B"), offsets, sizes)
        with np.errstate(over="ignore"):  # what single precision cannot hold becomes infinite, as in torch
            return torch.from_numpy(rows.astype(self.dtype, copy=False)).to(self.device)


def _joined(firsts: RowNumbers, counts: RowNumbers) -> tuple[RowNumbers, RowNumbers]:
    """Return first and last row (not included) of each run, those that follow each other as one."""
    new = np.ones(len(firsts), dtype=bool)
    new[1:] = firsts[1:] != (firsts + counts)[:-1]
    starts = np.flatnonzero(new)
    begins = firsts[starts]
    return begins, begins + np.add.reduceat(counts, starts)


def _cut(begins: RowNumbers, ends: RowNumbers, chunk: int) -> tuple[RowNumbers, RowNumbers, RowNumbers]:
    """Cut runs where chunks end; return for each piece its chunk, first and last row (not included)."""
    first_chunks = begins // chunk
    pieces = (ends - 1) // chunk - first_chunks + 1
    number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    chunks = np.repeat(first_chunks, pieces) + number
    begins, ends = np.repeat(begins, pieces), np.repeat(ends, pieces)
    return chunks, np.maximum(begins, chunks * chunk), np.minimum(ends, (chunks + 1) * chunk)
