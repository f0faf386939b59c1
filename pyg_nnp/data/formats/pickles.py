"""Pickles of a list of dicts, one for each frame, or of a dict of columns."""

import mmap
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyg_nnp.data.formats.cells import cell_names
from pyg_nnp.data.formats.columns import Table, as_column, require
from pyg_nnp.data.formats.format import Format, frame_blocks, types_in, value_type
from pyg_nnp.data.formats.unit_texts import Parts, statements_in
from pyg_nnp.data.formats.unpickling import load_pickle
from pyg_nnp.data.source import ArrayTypes, Block, Origin
from pyg_nnp.errors import DataError


def _read(path: Path, mapping: Mapping[str, str], frames_per_block: int, optional: Collection[str]) -> Iterator[Block]:
    content = _frames_or_columns(path)
    if not isinstance(content, dict):
        yield from frame_blocks(path, content, mapping, frames_per_block, optional)
        return
    origin = Origin(str(path), mapping, optional=optional)
    names = [key for key in content if isinstance(key, str)]
    require(origin, names)
    columns = {name: as_column(content[source]) for name, source in mapping.items()}
    cells = {name: as_column(content[name]) for name in cell_names(names, mapping.values())}
    yield from Table(origin, columns, cells).blocks(frames_per_block)


def _array_types(path: Path) -> ArrayTypes:
    content = _frames_or_columns(path)
    if not isinstance(content, dict):
        return types_in(content)
    return {name: value_type(value) for name, value in content.items() if isinstance(name, str)}


def _unit_statements(path: Path, names: Collection[str]) -> Parts:
    """Return what texts beside the columns, or in the frames, say of units."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # to load it takes far longer than to see that there are none
        if all(content.find(word) < 0 for word in (b"unit", b"Unit", b"UNIT")):
            return [("", {})]
    said = _frames_or_columns(path)
    if isinstance(said, dict):
        return [("", statements_in(said))]
    return ((f"frame {number}", statements_in(frame)) for number, frame in enumerate(said))


def _frames_or_columns(path: Path) -> dict[Any, Any] | Sequence[dict[Any, Any]]:
    content = load_pickle(path)
    expected = "expected a list of dicts, one per frame, or a dict of columns"
    if isinstance(content, np.ndarray) and content.dtype == object:
        # whoever saves a list of frames through numpy gets an array, and one of no axes from a dict
        content = content.tolist()
    if isinstance(content, dict):
        # a dict of frames, by their names, instead of a list
        is_of_frames = content and all(isinstance(frame, dict) for frame in content.values())
        return list(content.values()) if is_of_frames else content
    if not isinstance(content, list | tuple):
        raise DataError(f"{path}: the pickle holds an object of type {type(content).__name__}; {expected}.")
    for i, frame in enumerate(content):
        if not isinstance(frame, dict):
            raise DataError(f"{path}: frame {i} is of type {type(frame).__name__}; {expected}.")
    return content


# From protocol 2 on a pickle begins with its number; before, with a list or dict, perhaps in a tuple, or an object.
_MAGIC = rb"\x80[\x02-\x05]|\(?(?:\([ld]p\d|[\]}]q\x00|c(?:\w+\.[\w.]+|collections|copy_reg)\n\w+\n)"
FORMAT = Format("pickle", "a pickle", _MAGIC, _read, _array_types, unit_statements=_unit_statements)
