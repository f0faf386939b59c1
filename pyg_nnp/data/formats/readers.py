"""Readers of data files: one function per format, from a path to blocks of frames."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pyg_nnp.data.block import Block
from pyg_nnp.data.formats.ase_frames import database_frames, xyz_frames
from pyg_nnp.data.formats.columns import Table, as_column, frame_columns, require
from pyg_nnp.data.formats.hdf5 import open_hdf5
from pyg_nnp.data.formats.hdf5_groups import first_datasets, group_blocks
from pyg_nnp.data.formats.npz import npz_column, npz_members, open_npz
from pyg_nnp.data.formats.pickles import load_pickle
from pyg_nnp.data.formats.values import Origin
from pyg_nnp.errors import DataError, did_you_mean

# beginning of a file -> what it is, and the data_format for it
_MAGIC: tuple[tuple[bytes, str, str | None], ...] = (
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", "hdf5"),
    (rb"PK\x03\x04(?s:.){0,60}data\.pkl", "a file of torch.save", None),
    (rb"PK(\x03\x04|\x05\x06)", "an npz file", "npz"),
    (rb"SQLite format 3\0", "an SQLite database", "ase"),
    (rb"\x80[\x02-\x05]", "a pickle", "pickle"),
    (rb"\x93NUMPY", "a single numpy array (.npy)", None),
    (rb"\x1f\x8b|BZh|\xfd7zXZ", "a compressed file; unpack it first", None),
    (rb"[ \t]*\d+[ \t]*\r?\n", "an XYZ file", "extxyz"),
)


def read_blocks(
    path: Path, data_format: str, mapping: Mapping[str, str], frames_per_block: int = 1024
) -> Iterator[Block]:
    """Read a data file as blocks of frames.

    Args:
        path: the file.
        data_format: a name of FORMATS.
        mapping: standard field name -> the file's own name; always has ``Ra`` and ``Za``. Without ``N`` the atoms are
            counted from ``Za``, in which zeros at the end are padding.
        frames_per_block: largest number of frames in a block.

    Returns:
        Blocks of the mapped fields and ``N``, in the order of the file and in its units.

    Raises:
        DataError: if the file is missing or of another format, lacks a mapped name, or holds values that are no numbers
            or whose shapes do not fit. Frames are counted from 0 over the whole file.
    """
    path = Path(path)
    _check_file(path, data_format)
    return _some(path, FORMATS[data_format](path, mapping, frames_per_block))


def file_names(path: Path, data_format: str) -> list[str]:
    """Return the names of what a data file holds.

    For pickled lists of frames and for HDF5 groups, names that any of them has; for extxyz files and ASE databases, the
    names of the first frame.

    Raises:
        DataError: if the file is missing or of another format.
    """
    path = Path(path)
    _check_file(path, data_format)
    return _NAMES[data_format](path)


def format_of(path: Path) -> str | None:
    """Return the data_format that a file seems to be of, as its first bytes say; None for any other.

    Raises:
        DataError: if the file is missing, empty or a folder.
    """
    head = _head(path)
    return next((its_format for magic, _, its_format in _MAGIC if re.match(magic, head)), None)


def _some(path: Path, blocks: Iterator[Block]) -> Iterator[Block]:
    first = next(blocks, None)
    if first is None:
        raise DataError(f"{path}: there are no frames in this file.")
    yield first
    yield from blocks


def _check_file(path: Path, data_format: str) -> None:
    if data_format not in FORMATS:
        known = f"{did_you_mean(data_format, FORMATS)} Known: {', '.join(FORMATS)}."
        raise DataError(f"{path}: there is no data_format '{data_format}'.{known}")
    head = _head(path)
    for magic, what, its_format in _MAGIC:
        if re.match(magic, head):
            if its_format != data_format:
                instead = f"set data_format: {its_format}" if its_format else f"known formats: {', '.join(FORMATS)}"
                raise DataError(f"{path}: data_format is '{data_format}', but this looks like {what}; {instead}.")
            return


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; the data set must be a file.")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"{path}: there is no such file.{did_you_mean(path.name, beside)}") from None
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read ({error.strerror}).") from error
    if not head:
        raise DataError(f"{path}: the file is empty.")
    return head


def frame_blocks(
    path: Path, frames: Iterable[Mapping[str, Any]], mapping: Mapping[str, str], frames_per_block: int = 1024
) -> Iterator[Block]:
    """Make blocks of frames that are dicts, as :func:`read_blocks` does."""
    remaining, first = iter(frames), 0
    while chunk := list(islice(remaining, frames_per_block)):
        origin = Origin(str(path), mapping, first=first)
        yield from Table(origin, frame_columns(origin, chunk)).blocks(len(chunk))
        first += len(chunk)


def _read_pickle(path: Path, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
    """Read a list of dicts, one per frame, or a dict of columns."""
    content = pickled(path)
    if not isinstance(content, dict):
        yield from frame_blocks(path, content, mapping, frames_per_block)
        return
    origin = Origin(str(path), mapping)
    require(origin, _texts(content))
    columns = {name: as_column(content[source]) for name, source in mapping.items()}
    yield from Table(origin, columns).blocks(frames_per_block)


def _pickle_names(path: Path) -> list[str]:
    content = pickled(path)
    return _texts(content if isinstance(content, dict) else chain.from_iterable(content))


def pickled(path: Path) -> dict[Any, Any] | Sequence[dict[Any, Any]]:
    """Return the columns or the frames of a pickle.

    Raises:
        DataError: it holds something else.
    """
    content = load_pickle(path)
    expected = "expected a list of dicts, one per frame, or a dict of columns"
    if isinstance(content, dict):
        return content
    if not isinstance(content, list | tuple):
        raise DataError(f"{path}: the pickle holds an object of type {type(content).__name__}; {expected}.")
    for i, frame in enumerate(content):
        if not isinstance(frame, dict):
            raise DataError(f"{path}: frame {i} is of type {type(frame).__name__}; {expected}.")
    return content


def _texts(keys: Iterable[Any]) -> list[str]:
    return [key for key in dict.fromkeys(keys) if isinstance(key, str)]


def _read_npz(path: Path, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
    """Read arrays of frames."""
    origin = Origin(str(path), mapping)
    with open_npz(path) as archive:
        require(origin, list(npz_members(archive)))
        columns = {name: npz_column(origin, name, archive) for name in mapping}
        yield from Table(origin, columns).blocks(frames_per_block)


def _npz_names(path: Path) -> list[str]:
    with open_npz(path) as archive:
        return list(npz_members(archive))


def _read_hdf5(path: Path, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
    """Read arrays of frames, at the top level or in groups of any depth, each group with its own."""
    with open_hdf5(path) as file:
        yield from group_blocks(path, file, mapping, frames_per_block)


def _hdf5_names(path: Path) -> list[str]:
    with open_hdf5(path) as file:
        return list(first_datasets(path, file))


def _read_extxyz(path: Path, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
    """Read extended XYZ through ASE, frame by frame."""
    return frame_blocks(path, xyz_frames(path), mapping, frames_per_block)


def _read_ase(path: Path, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
    """Read an ASE database through ASE, frame by frame."""
    return frame_blocks(path, database_frames(path), mapping, frames_per_block)


def first_frame(path: Path, data_format: str) -> dict[str, Any]:
    """Return the first frame of an extxyz file or an ASE database; nothing if there is none."""
    return next({"extxyz": xyz_frames, "ase": database_frames}[data_format](path), {})


FORMATS: dict[str, Callable[[Path, Mapping[str, str], int], Iterator[Block]]] = {
    "pickle": _read_pickle,
    "npz": _read_npz,
    "hdf5": _read_hdf5,
    "extxyz": _read_extxyz,
    "ase": _read_ase,
}
_NAMES: dict[str, Callable[[Path], list[str]]] = {
    "pickle": _pickle_names,
    "npz": _npz_names,
    "hdf5": _hdf5_names,
    "extxyz": lambda path: list(first_frame(path, "extxyz")),
    "ase": lambda path: list(first_frame(path, "ase")),
}
