"""Arrays that are larger than what is left of memory beside them, and files of such arrays."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pieces_of_safetensors(
    arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> Iterator[bytes | memoryview]:
    """Yield the content of a safetensors file, to be written durably, without a copy of the arrays.

    Source: the format as https://huggingface.co/docs/safetensors describes it.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    # larger numbers first, so that each array begins where its numbers may
    ordered = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    for name in ordered:
        array = arrays[name]
        kind = {"f": "F", "i": "I", "u": "U"}[array.dtype.kind] + str(8 * array.itemsize)
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in ordered:
        if arrays[name].nbytes:
            yield np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data


def array_of_safetensors(path: Path, name: str) -> NDArray[Any]:
    """Read an array of a file that :func:`pieces_of_safetensors` wrote; memory holds it once, unlike a mapped file."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
    kind, (first, end) = entry["dtype"], entry["data_offsets"]
    dtype = np.dtype(f"{kind[0].lower()}{int(kind[1:]) // 8}")
    array: NDArray[Any] = np.fromfile(path, dtype, (end - first) // dtype.itemsize, offset=8 + size + first)
    return array.reshape(entry["shape"])


class GrowingArray:
    """An array that grows by rows. What it has room for beyond them is not taken from memory before it is written."""

    def __init__(self) -> None:
        self._space: NDArray[Any] = np.empty(0)
        self._length = 0

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows, (g, ...), of one type and shape at all calls."""
        first, end = self._length, self._length + len(rows)
        if not first:
            self._space = np.empty((2 * end, *rows.shape[1:]), dtype=rows.dtype)
        elif end > len(self._space):
            before, self._space = self.rows, np.empty((2 * end, *rows.shape[1:]), dtype=rows.dtype)
            self._space[:first] = before
        self._space[first:end], self._length = rows, end

    @property
    def rows(self) -> NDArray[Any]:
        """All rows, (n, ...), in one piece."""
        return self._space[: self._length]
