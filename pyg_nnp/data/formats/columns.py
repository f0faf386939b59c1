"""Columns of a data file, turned into blocks.

A column holds one field. It is an array (anything with ``shape`` and slicing, so an HDF5 data set is read piece by
piece) or a list with one item per frame. Letters: n frames, A atoms of all frames, M atoms of the largest frame.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from pyg_nnp.data.formats.cells import FIELDS_OF_CELLS, Cells
from pyg_nnp.data.formats.stress import stress_of_virials, with_stress
from pyg_nnp.data.formats.values import (
    Array,
    check_sizes,
    count_atoms,
    fits,
    is_missing,
    no_value,
    one_value,
    shape_text,
    to_numbers,
    without_padding,
)
from pyg_nnp.data.source import Block, Origin
from pyg_nnp.fields import FIELDS, SHAREABLE

Layout = Literal["stacked", "concatenated", "single", "ragged", "missing"]

_COUNTS_AT_ONCE = 1 << 16  # numbers of atoms that are added up at a time


def require(origin: Origin, known: Sequence[str]) -> None:
    """Raise a DataError if a mapped name is not among the names that a file or group has."""
    for name, source in origin.names.items():
        if source not in known:
            raise origin.error(origin.missing(name, known))


def as_column(value: Any) -> Any:
    """Return an array where values are regular, else a list with one item per frame."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return np.asarray(value)  # nothing of a subclass gets into a block
    items = value.tolist() if isinstance(value, np.ndarray) else value
    try:
        array = np.asarray(items)
    except (ValueError, TypeError):  # rows of different lengths
        return list(items)
    # What is not numbers through and through stays a list, so that messages can name the frame.
    is_symbols = array.ndim == 1 and array.dtype.kind in "US" and all(isinstance(item, str | bytes) for item in items)
    return list(items) if array.ndim and array.dtype.kind not in "iuf" and not is_symbols else array


class Table:
    """Columns of the same frames.

    A frame's graph-level values have the shape in FIELDS, its atom-level values one row per atom, and perhaps rows of
    zeros after the last atom; axes of length 1 do no harm. Over frames a column is one of:

    - stacked: (n, ...), for atoms (n, M, ...), padded with zeros;
    - concatenated: (A, ...), with ``N`` (n,);
    - single: one value for all frames (``N``, ``Za``, ``Q``), or the only frame, without the axis of frames;
    - ragged: a list of n items, in which None stands for an optional value that is missing;
    - missing: None, for an optional field that is missing in all frames.
    """

    def __init__(self, origin: Origin, columns: Mapping[str, Any], cells: Mapping[str, Any] | None = None) -> None:
        """Find out how each column is laid out, by standard field name, always with ``Ra`` and ``Za``.

        ``cells`` are columns of cells and periodic directions, by the names of the file.
        """
        self._origin = origin
        of_cells = {origin.names[name]: columns[name] for name in FIELDS_OF_CELLS if name in columns}
        columns = {name: column for name, column in columns.items() if name not in FIELDS_OF_CELLS}
        self._columns = with_stress(columns)
        self._layouts: dict[str, Layout] = {}
        self.num_frames = self._count_frames()
        self._cells = Cells(origin, {**(cells or {}), **of_cells}, self.num_frames)
        Ra = columns["Ra"]
        is_concatenated = not isinstance(Ra, list) and Ra.ndim == 2 and self.num_frames > 1
        self._num_rows = len(Ra) if is_concatenated else None
        if self._num_rows is not None:
            self._check_counts(self._num_rows)
        if self.num_frames:
            self._layouts = {name: self._layout(name) for name in columns}
        for name, layout in self._layouts.items():
            if layout == "single":
                self._columns[name] = np.asarray(columns[name][()])

    def blocks(self, frames_per_block: int) -> Iterator[Block]:
        """Yield all frames, at most ``frames_per_block`` in a block; every column is sliced forwards, without gaps."""
        row = 0
        for start in range(0, self.num_frames, frames_per_block):
            block = self._block(start, min(start + frames_per_block, self.num_frames), row)
            row += len(block.arrays["Za"])
            yield block

    def _block(self, start: int, stop: int, row: int) -> Block:
        """Return frames ``start`` to ``stop`` (not included), which begin with ``row`` of concatenated columns."""
        origin = replace(self._origin, first=self._origin.first + start)
        N = None
        if "N" in self._columns:
            N = self._graph_rows("N", start, stop)
            check_sizes(origin, N)  # before as many rows are read
        Za, capacities = self._atom_rows("Za", start, stop, row, N)
        if N is None:
            N = count_atoms(origin, Za, capacities)
            check_sizes(origin, N)
        arrays = {"N": N, "Za": without_padding(origin, "Za", Za, capacities, N, capacities > 0)}
        for name in [name for name in self._columns if name not in arrays]:
            if FIELDS[name].level == "graph":
                arrays[name] = self._graph_rows(name, start, stop)
                continue
            rows, lengths = self._atom_rows(name, start, stop, row, N)
            # a frame on its own is padded as its Za is, or not at all
            allowed = lengths == capacities if self._layouts[name] == "ragged" else lengths > 0
            arrays[name] = without_padding(origin, name, rows, lengths, N, allowed)
        of_cells, unstated = self._cells.of_frames(start, stop)
        arrays |= of_cells
        stress_of_virials(origin, arrays)
        return Block(origin.first, arrays, unstated)

    def _count_frames(self) -> int:
        Ra, N = self._columns["Ra"], self._columns.get("N")
        if isinstance(Ra, list) or (Ra.ndim and len(Ra) == 0) or (Ra.ndim == 3 and Ra.shape[2] == 3):
            return len(Ra)
        if Ra.ndim != 2 or Ra.shape[1] != 3:
            expected = "(frames, atoms, 3), or (atoms, 3) for one frame or for frames one after the other with N"
            raise self._origin.error(f"{self._origin.field('Ra')} has shape {Ra.shape}, expected {expected}.")
        return 1 if N is None else len(N) if isinstance(N, list) else int(np.prod(N.shape))

    def _check_counts(self, num_rows: int) -> None:
        """Check that N, read in pieces, adds up to the rows of concatenated columns."""
        origin, total = self._origin, 0
        self._layouts["N"] = self._layout("N")
        for start in range(0, self.num_frames, _COUNTS_AT_ONCE):
            N = self._graph_rows("N", start, min(start + _COUNTS_AT_ONCE, self.num_frames))
            check_sizes(replace(origin, first=origin.first + start), N)
            total += int(N.sum())
        if total != num_rows:
            what = f"{origin.field('N')} adds up to {total} atoms, but {origin.field('Ra')} has {num_rows} rows."
            raise origin.error(what)

    def _layout(self, name: str) -> Layout:
        column, row, n = self._columns[name], FIELDS[name].shape, self.num_frames
        if column is None:
            return "missing"
        if isinstance(column, list):
            if len(column) != n:
                raise self._origin.error(self._length_mismatch(name, len(column)))
            return "ragged"
        shape = column.shape
        own_axes = 1 if FIELDS[name].level == "atom" else 0  # axes of one frame before those of the field
        has_frames = len(shape) > own_axes and fits(shape[1 + own_axes :], row)
        if own_axes and has_frames:
            check_sizes(self._origin, np.array([shape[1]]), least=0)
        if own_axes and self._num_rows is not None and shape[:1] == (self._num_rows,) and fits(shape[1:], row):
            return "concatenated"
        if has_frames and shape[0] == n:
            return "stacked"
        is_one = (has_frames and shape[0] == 1) or (len(shape) >= own_axes and fits(shape[own_axes:], row))
        if is_one and (name in SHAREABLE or n == 1):
            if own_axes:
                check_sizes(self._origin, np.array([shape[1] if has_frames else shape[0]]), least=0)
            return "single"
        if own_axes and self._num_rows is not None and fits(shape[1:], row):
            what = f"{self._origin.field(name)} has {shape[0]} rows, but {self._origin.field('Ra')} {self._num_rows}."
        elif has_frames and shape[0] != n:
            what = self._length_mismatch(name, shape[0])
        else:
            expected = shape_text(n, *["atoms"] * own_axes, *row)
            what = f"{self._origin.field(name)} has shape {shape}, expected {expected}."
        raise self._origin.error(what)

    def _length_mismatch(self, name: str, length: int) -> str:
        Ra, n = self._columns["Ra"], self.num_frames
        hint = ""
        if n == 1 and not isinstance(Ra, list) and Ra.ndim == 2:
            hint = f" of shape {Ra.shape}. If these are frames one after the other, map N, the number of atoms of each"
        return f"{self._origin.field(name)} has {length} frames, but {self._origin.field('Ra')} has {n}{hint}."

    def _graph_rows(self, name: str, start: int, stop: int) -> Array:
        """Return (stop - start, ...) values of a graph-level field."""
        column, shape = self._columns[name], FIELDS[name].shape
        if self._layouts[name] == "ragged":
            rows = np.stack(self._values(name, start, stop))
        elif self._layouts[name] == "missing":
            rows = np.stack([no_value(name, 0)] * (stop - start))
        elif self._layouts[name] == "single":
            rows = np.repeat(column.reshape(1, *shape), stop - start, axis=0)
        else:
            rows = np.asarray(column[start:stop]).reshape(stop - start, *shape)
        return to_numbers(self._origin, name, rows, lambda row: start + row)

    def _atom_rows(self, name: str, start: int, stop: int, row: int, N: Array | None) -> tuple[Array, Array]:
        """Return rows of an atom-level field, padding included, and how many each frame has: concatenated as in N."""
        column, layout = self._columns[name], self._layouts[name]
        if layout == "ragged":
            values = self._values(name, start, stop, N)
            rows, lengths = np.concatenate(values), np.array([len(value) for value in values])
        elif layout == "missing" and N is not None:
            rows, lengths = no_value(name, int(N.sum())), N
        elif layout == "concatenated" and N is not None:
            rows, lengths = column[row : row + int(N.sum())], N
        elif layout == "stacked":
            rows = column[start:stop]
            lengths = np.full(stop - start, rows.shape[1])
        else:
            one = column.reshape(-1, *FIELDS[name].shape)
            rows, lengths = np.concatenate([one] * (stop - start)), np.full(stop - start, len(one))
        rows = rows.reshape(lengths.sum(), *FIELDS[name].shape)
        ends = np.cumsum(lengths)
        numbers = to_numbers(
            self._origin, name, rows, lambda row: start + int(np.searchsorted(ends, row, side="right"))
        )
        return numbers, lengths

    def _values(self, name: str, start: int, stop: int, N: Array | None = None) -> list[Array]:
        """Return the values of frames; ``N`` are the numbers of their atoms, as far as they are known."""
        values = []
        for i, item in enumerate(self._columns[name][start:stop]):
            if name in self._origin.optional and is_missing(item):
                values.append(no_value(name, 0 if N is None else int(N[i])))
            else:
                values.append(one_value(self._origin, name, start + i, item))
        return values
