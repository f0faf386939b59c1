"""npz files: arrays of frames, read piece by piece."""

import io
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy

from pyg_nnp.data.formats.cells import cell_names
from pyg_nnp.data.formats.columns import Table, as_column, require
from pyg_nnp.data.formats.format import Format, value_type
from pyg_nnp.data.formats.pickle_constructors import RefusedError
from pyg_nnp.data.formats.unit_texts import Parts, statements_in
from pyg_nnp.data.formats.unpickling import unpickle
from pyg_nnp.data.formats.values import Array, check_packed
from pyg_nnp.data.source import ArrayType, ArrayTypes, Block, Origin
from pyg_nnp.errors import DataError

_HEADERS = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
    # which only encodes the names of records otherwise, and records are refused
    (3, 0): npy.read_array_header_2_0,
}
_LONGEST_HEADER = 10_000  # as in numpy, which reads it before it compares
_MOST_EMPTY_ROWS = 1 << 20  # rows of zero bytes
_COMPRESSIONS = (ZIP_STORED, ZIP_DEFLATED)  # those of numpy; for another a file may ask for gigabytes


@contextmanager
def _open_npz(path: Path) -> Iterator[ZipFile]:
    with path.open("rb") as file:  # which is closed here even where columns are still referred to
        try:
            archive = ZipFile(file)
        except Exception as error:  # a damaged file ends as anything
            raise DataError(f"{path}: this is not an npz file, or it is damaged ({error}).") from error
        with archive:
            members = archive.namelist()
            if members and not any(name.endswith(".npy") for name in members):
                what = f"this zip archive has no arrays of numpy (.npy), but '{members[0]}'"
                raise DataError(f"{path}: {what}. Unpack it, or save arrays by numpy.savez.")
            yield archive


def _read(path: Path, mapping: Mapping[str, str], frames_per_block: int, optional: Collection[str]) -> Iterator[Block]:
    origin = Origin(str(path), mapping, optional=optional)
    with _open_npz(path) as archive:
        names = list(_members(archive))
        require(origin, names)
        columns = {name: _column(origin, name, archive) for name in mapping}
        cells = {
            name: _column(replace(origin, names={name: name}), name, archive)
            for name in cell_names(names, mapping.values())
        }
        yield from Table(origin, columns, cells).blocks(frames_per_block)


def _column(origin: Origin, name: str, archive: ZipFile) -> Any:
    column = NpzColumn(origin, name, archive)
    if column.dtype == object:
        return column.objects()
    return column[()] if column.is_fortran else column


def _array_types(path: Path) -> ArrayTypes:
    found: ArrayTypes = {}
    with _open_npz(path) as archive:
        for name in _members(archive):
            try:
                column = NpzColumn(Origin(str(path), {name: name}), name, archive)
                found |= {name: value_type(column.objects())} if column.dtype == object else {}
            except DataError:
                found[name] = ArrayType((), np.dtype(object))
            else:
                found.setdefault(name, ArrayType(column.shape, column.dtype))
    return found


def _unit_statements(path: Path, names: Collection[str]) -> Parts:
    """Return what texts in the file say of units."""
    found = {}
    with _open_npz(path) as archive:
        for name in [name for name in _members(archive) if "unit" in name.lower()]:
            try:
                column = NpzColumn(Origin(str(path), {name: name}), name, archive)
            except DataError:  # it holds no text
                continue
            if column.dtype.kind in "US" and math.prod(column.shape) == 1:
                found[name] = column[()]
    return [("", statements_in(found))]


def _members(archive: ZipFile) -> dict[str, str]:
    """Return array name -> name in the archive, which has an ending more."""
    return {member.removesuffix(".npy"): member for member in archive.namelist()}


class NpzColumn:
    """An array in an npz file, sliced along its first axis like a data set of HDF5.

    Memory holds the rows that are asked for and no others. Slices that follow each other read the file once, compressed
    or not; any other slice starts again at the first row. The checksum is that of the whole array, so it is compared
    when the last row is read.
    An array of objects is a pickle, which is read as those in files of their own are: nothing in it is run.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool  # rows do not follow each other: it is to be read whole
    _stream: IO[bytes]
    _next_row: int

    def __init__(self, origin: Origin, name: str, archive: ZipFile) -> None:
        self._origin, self._name, self._archive = origin, name, archive
        self._member = _members(archive)[origin.names[name]]
        with self._named_errors():
            self._begin()
            info = archive.getinfo(self._member)
            header, total = self._stream.tell(), info.file_size
            if self.dtype == object:
                check_packed(origin, name, total, info.compress_size, is_whole=True)
                return
            # before anything is read: memory is taken for what there is, not for what the header claims
            expected = header + math.prod(self.shape) * self.dtype.itemsize
            if min(self.shape, default=0) < 0 or self.dtype.subdtype or expected != total:
                raise ValueError(f"shape {self.shape} of {self.dtype} is not what {total - header} bytes hold")
            if expected == header and math.prod(length or 1 for length in self.shape) > _MOST_EMPTY_ROWS:
                raise ValueError(f"shape {self.shape} of {self.dtype} takes no bytes")
        check_packed(origin, name, total, info.compress_size, is_whole=self.is_fortran)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def objects(self) -> Any:
        """Return the column of an array of Python objects: numbers, texts, arrays, and nothing that would be run."""
        with self._named_errors():
            self._begin()
            try:
                content = unpickle(self._stream, self._archive.getinfo(self._member).file_size)
            except RefusedError as error:
                raise self._origin.error(f"{self._origin.field(self._name)}: {error}") from error
            if not isinstance(content, np.ndarray) or content.shape != self.shape:
                raise ValueError(f"a header of shape {self.shape} before something else")
            return as_column(content)

    def __getitem__(self, key: slice | tuple[()]) -> Array:
        """Return rows, or with ``()`` the whole array."""
        with self._named_errors():
            if not isinstance(key, slice):
                self._begin()
                return self._read(self.shape)
            start, stop, _ = key.indices(len(self))
            shape = (stop - start, *self.shape[1:])
            if start != self._next_row:
                self._begin()
                self._stream.seek(start * math.prod(shape[1:]) * self.dtype.itemsize, 1)
            self._next_row = stop
            return self._read(shape)

    def _begin(self) -> None:
        """Open the array and read its header."""
        self._next_row = 0
        if (compression := self._archive.getinfo(self._member).compress_type) not in _COMPRESSIONS:
            raise ValueError(f"its compression, method {compression}, is not one of numpy")
        self._stream = self._archive.open(self._member)
        if self._stream.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
            raise self._error("is not an array")
        self._stream.seek(0)
        version = npy.read_magic(self._stream)
        if version not in _HEADERS:
            raise ValueError(f"there is no version {version} of its format")
        length = self._stream.read(2 if version == (1, 0) else 4)
        if (size := int.from_bytes(length, "little")) > _LONGEST_HEADER:
            raise ValueError(f"a header of {size} bytes")
        header = io.BytesIO(length + self._stream.read(size))
        self.shape, self.is_fortran, self.dtype = _HEADERS[version](header)
        if self.dtype.hasobject and self.dtype != object:
            raise self._error("holds records of Python objects, which are not read. Store an array for each")

    def _read(self, shape: tuple[int, ...]) -> Array:
        size = math.prod(shape) * self.dtype.itemsize
        content = self._stream.read(size)
        if len(content) != size:
            raise ValueError("it ends too early")
        return np.ndarray(shape, self.dtype, content, order="F" if self.is_fortran else "C")

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        except Exception as error:  # zipfile, zlib and numpy each have their own
            raise self._error(f"is damaged ({error})") from error

    def _error(self, what: str) -> DataError:
        return self._origin.error(f"{self._origin.field(self._name)} {what}.")


FORMAT = Format("npz", "an npz file", rb"PK(\x03\x04|\x05\x06)", _read, _array_types, unit_statements=_unit_statements)
