"""What a reader of data files consists of, and blocks of frames that are dicts."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pyg_nnp.data.formats.columns import Table
from pyg_nnp.data.formats.values import ArrayTypes, Origin
from pyg_nnp.data.source import Block

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
        array_types: from the file to all its names, each with shape and type of its first array; of objects where that
            is none.
        frames: from the file to its frames under the names of ASE, in Å; None where names and units are the user's.
    """

    name: str
    description: str
    magic: bytes
    read: Callable[[Path, Mapping[str, str], int, Collection[str]], Iterator[Block]]
    array_types: Callable[[Path], ArrayTypes]
    frames: Callable[[Path], Iterator[Frame]] | None = None


def frame_format(name: str, description: str, magic: bytes, frames: Callable[[Path], Iterator[Frame]]) -> Format:
    """Return a format whose frames are read one by one; its names are those of the first frame."""

    def read(
        path: Path, mapping: Mapping[str, str], frames_per_block: int, optional: Collection[str]
    ) -> Iterator[Block]:
        return frame_blocks(path, frames(path), mapping, frames_per_block, optional)

    return Format(name, description, magic, read, lambda path: value_types(next(frames(path), {})), frames)


def frame_blocks(
    path: Path,
    frames: Iterable[Frame],
    mapping: Mapping[str, str],
    frames_per_block: int = 1024,
    optional: Collection[str] = (),
) -> Iterator[Block]:
    """Make blocks of frames, as :func:`pyg_nnp.data.formats.readers.read_blocks` does."""
    remaining, first = iter(frames), 0
    while chunk := list(islice(remaining, frames_per_block)):
        origin = Origin(str(path), mapping, first=first, optional=optional)
        yield from Table(origin, _columns(origin, chunk)).blocks(len(chunk))
        first += len(chunk)


def value_types(frame: Mapping[Any, Any]) -> ArrayTypes:
    """Return shape and type of each value that has a text for its name."""
    return {name: _value_type(value) for name, value in frame.items() if isinstance(name, str)}


def _columns(origin: Origin, frames: Sequence[Frame]) -> dict[str, list[Any]]:
    """Turn frames into columns; where none of a file's first frames has a field, the message is about the file."""
    columns = {}
    for name, source in origin.names.items():
        lacking = [i for i, frame in enumerate(frames) if source not in frame]
        if lacking and name not in origin.optional:
            what = origin.missing(name, [key for key in frames[lacking[0]] if isinstance(key, str)])
            nowhere = origin.first == 0 and len(lacking) == len(frames)
            raise origin.error(what) if nowhere else origin.frame_error(lacking[0], what + origin.hint(name))
        columns[name] = [frame.get(source) for frame in frames]
    return columns


def _value_type(value: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.empty(len(value), dtype=object)
    return array.shape, array.dtype
