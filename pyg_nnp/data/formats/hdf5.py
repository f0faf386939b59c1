"""HDF5 files: arrays of frames at the top level or in groups of any depth, each group with its own frames."""

import logging
from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pyg_nnp.data.formats.cells import cell_names
from pyg_nnp.data.formats.columns import Table, require
from pyg_nnp.data.formats.format import Format
from pyg_nnp.data.formats.hdf5_attributes import cells_of_attributes, unit_attributes, unit_of_array
from pyg_nnp.data.formats.hdf5_datasets import first_datasets, open_column, open_hdf5, walk
from pyg_nnp.data.formats.unit_texts import Parts, Statements, statements_in
from pyg_nnp.data.source import ArrayTypes, Block, Origin
from pyg_nnp.errors import DataError

log = logging.getLogger(__name__)

_GROUPS = 10_000  # of which units are read, which takes a second or two

# where a group is, its columns, and those of its cells
_Group = tuple[Origin, dict[str, Any], dict[str, Any]]
# field -> type in the file, and the same in memory for numpy and for HDF5; to find them out takes as long as to read
_Types = dict[str, tuple[h5py.h5t.TypeID, np.dtype[Any], h5py.h5t.TypeID]]


def _read(path: Path, mapping: Mapping[str, str], frames_per_block: int, optional: Collection[str]) -> Iterator[Block]:
    """Yield the frames of all groups that have mapped names, in the order of their paths."""
    with open_hdf5(path) as file:
        groups = _groups(Origin(str(path), mapping, optional=optional), file, frames_per_block)
        yield from _joined(_blocks(groups, frames_per_block), frames_per_block)


def _array_types(path: Path) -> ArrayTypes:
    with open_hdf5(path) as file:
        return first_datasets(path, file)


def _unit_statements(path: Path, names: Collection[str]) -> Parts:
    """Yield what attributes say of units in many groups: of the file, of groups around them, of their data sets."""
    wanted, paths = {*names}, {name for name in names if "/" in name}
    groups: list[tuple[str, set[str], Statements, Statements]] = []
    of_arrays: Statements = {}
    with open_hdf5(path) as file:
        of_file = statements_in(unit_attributes(file), "attribute ")
        for place, group, datasets in islice(walk(path, file, wanted.__contains__, paths), _GROUPS):
            around, own = of_file, Statements()
            for outer in reversed(_around(place)[:-1]):
                around = statements_in(unit_attributes(_opened(file, outer)), "attribute ") | around
            around = statements_in(unit_attributes(h5py.Group(group)), "attribute ") | around
            for name, dataset in datasets.items():
                own |= unit_of_array(name, h5py.Dataset(dataset))
            groups.append((place.strip("/"), {*datasets}, around, own))
            of_arrays = own | of_arrays
    everywhere = {name for _, has, _, _ in groups for name in has}
    for place, has, around, own in groups:
        # of what a group lacks it says nothing else than others
        lacking = {name: one for name, one in of_arrays.items() if name not in has}
        if (said := around | lacking | own) or has == everywhere:
            yield f"group '{place}'" if place else "", said


def _groups(of_file: Origin, file: h5py.File, frames_per_block: int) -> Iterator[_Group]:
    path, mapping = Path(of_file.file), of_file.names
    types: _Types = {}
    paths = {source for source in mapping.values() if "/" in source}
    names = set(mapping.values()) - paths
    is_empty, left_out = True, 0
    # cells of groups around others, which hold for these, too
    above: dict[str, dict[str, Any]] = {}
    for place, group, datasets in walk(path, file, lambda name: name in names or bool(cell_names([name])), paths):
        if not datasets:
            left_out += 1
            example = place
            continue
        for outer in (outer for outer in _around(place) if outer not in above):
            above[outer] = cells_of_attributes(replace(of_file, group=outer.strip("/")), _opened(file, outer))
        open_one = partial(_column, datasets=datasets, group=group, types=types, frames_per_block=frames_per_block)
        cells = {
            name: open_one(Origin(str(path), {name: name}, place), name)
            for name in cell_names(datasets, mapping.values())
        }
        origin = replace(of_file, group=place)
        has_frames = len(cells) < len(datasets)
        cells = cells_of_attributes(origin, h5py.Group(group)) | cells
        if not has_frames:
            above[f"/{place.strip('/')}"] = cells
            continue
        is_empty = False
        cells = dict(ChainMap(cells, *(above[outer] for outer in _around(place))))
        yield origin, {name: open_one(origin, name) for name in mapping}, cells
    if left_out:
        log.warning(
            "%s: %d groups, such as '%s', have nothing but soft links, and were not read.", path, left_out, example
        )
    if is_empty:
        require(of_file, list(first_datasets(path, file)))


def _around(place: str) -> list[str]:
    """Return the paths of the groups that a group is in, from the nearest to that of the file."""
    names = place.strip("/").split("/")
    return [f"/{'/'.join(names[:number])}" for number in reversed(range(len(names)))] if names[0] else []


def _opened(file: h5py.File, path: str) -> h5py.Group:
    return h5py.Group(h5py.h5g.open(file.id, path.encode(errors="surrogateescape")))


def _column(
    origin: Origin,
    name: str,
    datasets: Mapping[str, h5py.h5d.DatasetID],
    group: h5py.h5g.GroupID,
    types: _Types,
    frames_per_block: int,
) -> Any:
    if name in origin.optional and origin.names[name] not in datasets:
        return None
    dataset, shape, in_file = open_column(origin, name, datasets, group, frames_per_block)
    if name in origin.optional and 0 in shape:
        return None  # as where nothing was computed for a molecule
    if name not in types or types[name][0] != in_file:
        types[name] = in_file, in_file.dtype, h5py.h5t.py_create(in_file.dtype)
    _, dtype, in_memory = types[name]
    if dtype.kind == "O" and h5py.check_string_dtype(dtype) is None:
        instead = "Store rows of all frames one after the other, (all atoms, ...), with N; or pad with zeros"
        raise origin.error(f"{origin.field(name)} has rows of varying length. {instead}.")
    if shape[:1] <= (frames_per_block,):
        # one block needs it all, and an array answers every question several times faster than a data set
        values = np.empty(shape, dtype)
        dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values, in_memory)
        return values
    column = h5py.Dataset(dataset)
    return _ChunkedColumn(column, frames_per_block) if column.chunks else column


def _blocks(groups: Iterable[_Group], frames_per_block: int) -> Iterator[Block]:
    first = 0
    for one_frame_each, run in groupby(groups, lambda group: _is_one_frame(group[1])):
        while chunk := list(islice(run, frames_per_block if one_frame_each else 1)):
            for block in _of_chunk(chunk, first, frames_per_block):
                yield block
                first += block.num_frames


def _is_one_frame(columns: Mapping[str, Any]) -> bool:
    """Return whether a group holds one frame, in arrays without an axis of frames."""
    Ra, N = columns["Ra"], columns.get("N")
    in_memory = all(column is None or isinstance(column, np.ndarray) for column in columns.values())
    return in_memory and Ra.ndim == 2 and (N is None or N.size == 1)


def _of_chunk(groups: Sequence[_Group], first: int, frames_per_block: int) -> Iterator[Block]:
    """Yield the blocks of one group, or of several that have one frame each."""
    origin, _, _ = groups[0]
    if len(groups) > 1:
        columns = {name: [of_group[name] for _, of_group, _ in groups] for name in origin.names}
        cells = {name: [of.get(name) for _, _, of in groups] for name in {name for _, _, of in groups for name in of}}
        try:
            yield from list(Table(replace(origin, group="", first=first), columns, cells).blocks(len(groups)))
            return
        except DataError:
            # one by one, a message says which group is at fault
            pass
    for origin, of_group, cells in groups:
        table = Table(replace(origin, first=first), of_group, cells)
        yield from table.blocks(frames_per_block)
        first += table.num_frames


class _ChunkedColumn:
    """A data set in chunks, which may span more frames than a block: read by whole chunks, each but once."""

    def __init__(self, column: h5py.Dataset, frames_per_block: int) -> None:
        self._column = column
        self.shape, self.ndim, self.dtype = column.shape, column.ndim, column.dtype
        chunk = column.chunks[0]
        self._size = -(-frames_per_block // chunk) * chunk  # rows read at a time
        self._first = -1
        self._rows: Any = None

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, key: slice | tuple[()]) -> Any:
        if not isinstance(key, slice):
            return self._column[key]
        start, stop, _ = key.indices(len(self))
        parts = [self._column[:0]]
        for first in range(start // self._size * self._size, stop, self._size):
            if first != self._first:
                self._rows = None  # so that memory never holds two of them
                self._rows, self._first = self._column[first : first + self._size], first
            parts.append(self._rows[max(start - first, 0) : stop - first])
        return np.concatenate(parts)


def _joined(blocks: Iterable[Block], frames_per_block: int) -> Iterator[Block]:
    """Join blocks as far as they fit, since a group often holds few frames."""
    waiting: list[Block] = []
    num_frames = 0
    for block in blocks:
        if waiting and num_frames + block.num_frames > frames_per_block:
            yield _concatenate(waiting)
            waiting, num_frames = [], 0
        waiting.append(block)
        num_frames += block.num_frames
    if waiting:
        yield _concatenate(waiting)


def _concatenate(blocks: Sequence[Block]) -> Block:
    first = blocks[0]
    if len(blocks) == 1:
        return first
    arrays = {name: np.concatenate([b.arrays[name] for b in blocks]) for name in first.arrays}
    if all(block.cells is None for block in blocks):
        return Block(first.first, arrays)
    cells = [np.zeros((b.num_frames, 3, 3)) if b.cells is None else b.cells for b in blocks]
    return Block(first.first, arrays, np.concatenate(cells))


FORMAT = Format("hdf5", "an HDF5 file", rb"\x89HDF\r\n\x1a\n", _read, _array_types, unit_statements=_unit_statements)
