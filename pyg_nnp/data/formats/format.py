"""What a reader of data files consists of, and blocks of frames that are dicts."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pyg_nnp.data.formats.cells import FIELDS_OF_CELLS, cell_names
from pyg_nnp.data.formats.columns import Table
from pyg_nnp.data.formats.unit_texts import Parts, SameUnits, statements_in
from pyg_nnp.data.source import ArrayType, ArrayTypes, Block, Origin

_FRAMES = 100  # of which units are read

Frame = Mapping[str, Any]
"""What a file has for one molecule, by the names of the file."""


@dataclass(frozen=True)
class Format:
    """A format of data files.

    Attributes:
        name: as ``data_format`` has it.
        description: of such a file, in messages.
        magic: regular expression for its first bytes.
        read: from the file, the mapping of standard names to its own, the largest number of frames in a block, and the
            fields that may be missing, to blocks of frames, as :func:`pyg_nnp.data.formats.readers.read_blocks`
            describes it.
        array_types: from the file to all its names, each with its first array.
        frames: from the file to its frames under the names of ASE, in Å; None where names and units are the user's.
        unit_statements: from the file, and the names of its arrays that are looked at, to what its parts say of units.
    """

    name: str
    description: str
    magic: bytes
    read: Callable[[Path, Mapping[str, str], int, Collection[str]], Iterator[Block]]
    array_types: Callable[[Path], ArrayTypes]
    frames: Callable[[Path], Iterator[Frame]] | None = None
    unit_statements: Callable[[Path, Collection[str]], Parts] = lambda path, names: [("", {})]


def frame_format(
    name: str,
    description: str,
    magic: bytes,
    frames: Callable[[Path], Iterator[Frame]],
    metadata: Callable[[Path], Mapping[str, Any]] = lambda path: {},
    texts: Callable[[Path], Iterator[tuple[int, Mapping[str, Any]]]] | None = None,
) -> Format:
    """Return a format whose frames are read one by one.

    Units are those of metadata, else those of the frames, of which ``texts`` yields numbers and what may say some, one
    frame of all that say the same; without it the first hundred are looked at.
    """

    def read(
        path: Path, mapping: Mapping[str, str], frames_per_block: int, optional: Collection[str]
    ) -> Iterator[Block]:
        return frame_blocks(path, frames(path), mapping, frames_per_block, optional)

    def unit_statements(path: Path, names: Collection[str]) -> Parts:
        of_all = statements_in(metadata(path), "metadata ")
        said = texts(path) if texts is not None else enumerate(islice(frames(path), _FRAMES))
        return ((f"frame {number}", statements_in(frame) | of_all) for number, frame in said)

    return Format(name, description, magic, read, lambda path: types_in(frames(path)), frames, unit_statements)


def frame_blocks(
    path: Path,
    frames: Iterable[Frame],
    mapping: Mapping[str, str],
    frames_per_block: int = 1024,
    optional: Collection[str] = (),
) -> Iterator[Block]:
    """Make blocks of frames, as :func:`pyg_nnp.data.formats.readers.read_blocks` does."""
    remaining, first, units = iter(frames), 0, SameUnits(path)
    while chunk := list(islice(remaining, frames_per_block)):
        origin = Origin(str(path), mapping, first=first, optional=optional)
        names = dict.fromkeys(name for frame in chunk for name in frame if isinstance(name, str))
        units.check(first, chunk, names)
        cells = {name: [frame.get(name) for frame in chunk] for name in cell_names(names, mapping.values())}
        for block in Table(origin, _columns(origin, chunk), cells).blocks(len(chunk)):
            yield replace(block, columns=types_in(chunk))
        first += len(chunk)


def types_in(frames: Iterable[Frame]) -> ArrayTypes:
    """Return the names that any of the frames has, with shape and type of the first value, and in how many it is."""
    found: ArrayTypes = {}
    for frame in frames:
        for name, value in frame.items():
            if value is None or not isinstance(name, str):
                continue
            known = found.get(name)
            found[name] = value_type(value, 1) if known is None else known._replace(frames=(known.frames or 0) + 1)
    return found


def _columns(origin: Origin, frames: Sequence[Frame]) -> dict[str, list[Any]]:
    """Turn frames into columns; where none of a file's first frames has a field, the message is about the file."""
    columns = {}
    for name, source in origin.names.items():
        lacking = [i for i, frame in enumerate(frames) if source not in frame]
        # without a cell, a frame is a molecule
        if lacking and name not in (*origin.optional, *FIELDS_OF_CELLS):
            what = origin.missing(name, [key for key in frames[lacking[0]] if isinstance(key, str)])
            nowhere = origin.first == 0 and len(lacking) == len(frames)
            raise origin.error(what) if nowhere else origin.frame_error(lacking[0], what + origin.hint(name))
        columns[name] = [frame.get(source) for frame in frames]
    return columns


def value_type(value: Any, frames: int | None = None) -> ArrayType:
    """Return shape and type of a value, which some frames have."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.empty(len(value), dtype=object)
    return ArrayType(array.shape, array.dtype, frames)
