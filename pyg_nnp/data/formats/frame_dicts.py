"""Frames that are dicts: lists of them in pickles, and what ASE reads."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from pyg_nnp.data.block import Block
from pyg_nnp.data.formats.columns import Table
from pyg_nnp.data.formats.format import ArrayTypes, Format, Frame
from pyg_nnp.data.formats.values import Origin


def frame_blocks(
    path: Path, frames: Iterable[Frame], mapping: Mapping[str, str], frames_per_block: int = 1024
) -> Iterator[Block]:
    """Make blocks of frames, as :func:`pyg_nnp.data.formats.readers.read_blocks` does."""
    remaining, first = iter(frames), 0
    while chunk := list(islice(remaining, frames_per_block)):
        origin = Origin(str(path), mapping, first=first)
        yield from Table(origin, _columns(origin, chunk)).blocks(len(chunk))
        first += len(chunk)


def value_types(frame: Mapping[Any, Any]) -> ArrayTypes:
    """Return shape and type of each value that has a text for its name."""
    return {name: _value_type(value) for name, value in frame.items() if isinstance(name, str)}


def ase_format(name: str, description: str, magic: bytes, frames: Callable[[Path], Iterator[Frame]]) -> Format:
    """Return a format whose frames are read one by one by ASE; names are those of the first frame."""

    def read(path: Path, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
        return frame_blocks(path, frames(path), mapping, frames_per_block)

    def first_frame(path: Path) -> Frame:
        return next(frames(path), {})

    return Format(
        name,
        description,
        magic,
        read,
        names=lambda path: list(first_frame(path)),
        array_types=lambda path: value_types(first_frame(path)),
        frames=frames,
    )


def _columns(origin: Origin, frames: Sequence[Frame]) -> dict[str, list[Any]]:
    """Turn frames into columns.

    Raises:
        DataError: if a frame lacks a field; if none of a file's first frames has it, the message is about the file.
    """
    columns = {}
    for name, source in origin.names.items():
        lacking = [i for i, frame in enumerate(frames) if source not in frame]
        if lacking:
            what = origin.missing(name, [key for key in frames[lacking[0]] if isinstance(key, str)])
            nowhere = origin.first == 0 and len(lacking) == len(frames)
            raise origin.error(what) if nowhere else origin.frame_error(lacking[0], what)
        columns[name] = [frame[source] for frame in frames]
    return columns


def _value_type(value: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.empty(len(value), dtype=object)
    return array.shape, array.dtype
