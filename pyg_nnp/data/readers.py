"""Readers of data files: one function per format, from a path to blocks of frames."""

import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pyg_nnp.data.ase_frames import database_frames, xyz_frames
from pyg_nnp.data.block import Block
from pyg_nnp.data.columns import Table, as_column, frame_columns, require
from pyg_nnp.data.pickles import load_pickle
from pyg_nnp.data.values import Origin
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
    for magic, what, its_format in _MAGIC:
        if re.match(magic, head):
            if its_format != data_format:
                instead = f"set data_format: {its_format}" if its_format else f"known formats: {', '.join(FORMATS)}"
                raise DataError(f"{path}: data_format is '{data_format}', but this looks like {what}; {instead}.")
            return


def _from_table(table: Table, frames_per_block: int) -> Iterator[Block]:
    for start in range(0, table.num_frames, frames_per_block):
        yield table.block(start, min(start + frames_per_block, table.num_frames))


def _from_frames(
    path: Path, frames: Iterable[Mapping[str, Any]], mapping: Mapping[str, str], frames_per_block: int
) -> Iterator[Block]:
    remaining, first = iter(frames), 0
    while chunk := list(islice(remaining, frames_per_block)):
        origin = Origin(str(path), mapping, first=first)
        yield Table(origin, frame_columns(origin, chunk)).block(0, len(chunk))
        first += len(chunk)


def _read_pickle(path: Path, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
    """Read a list of dicts, one per frame, or a dict of columns."""
    content = _pickled(path)
    if not isinstance(content, dict):
        yield from _from_frames(path, content, mapping, frames_per_block)
        return
    origin = Origin(str(path), mapping)
    require(origin, _texts(content))
    columns = {name: as_column(content[source]) for name, source in mapping.items()}
    yield from _from_table(Table(origin, columns), frames_per_block)


def _pickle_names(path: Path) -> list[str]:
    content = _pickled(path)
    return _texts(content if isinstance(content, dict) else chain.from_iterable(content))


def _pickled(path: Path) -> dict[Any, Any] | Sequence[dict[Any, Any]]:
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
    with _open_npz(path) as file:
        require(origin, file.files)
        columns = {name: _npz_array(origin, name, file) for name in mapping}
    yield from _from_table(Table(origin, columns), frames_per_block)


def _npz_names(path: Path) -> list[str]:
    with _open_npz(path) as file:
        return list(file.files)


@contextmanager
def _open_npz(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:  # np.load would leave a damaged file open
        try:
            archive = np.load(file, allow_pickle=False)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: this is not an npz file, or it is damaged ({error}).") from error
        with archive:
            yield archive


def _npz_array(origin: Origin, name: str, file: Any) -> Any:
    try:
        array = file[origin.sources[name]]
    except Exception as error:  # zipfile, zlib and numpy each have their own
        if isinstance(error, ValueError) and "Object arrays" in str(error):
            what = "holds Python objects, which are not read, since that can run code"
            instead = "Store rows of all frames one after the other, (all atoms, ...), with N; or pad with zeros"
            raise origin.error(f"{origin.named(name)} {what}. {instead}.") from error
        raise origin.error(f"{origin.named(name)} is damaged ({error}).") from error
    if not isinstance(array, np.ndarray):
        raise origin.error(f"{origin.named(name)} is not an array.")
    return array


def _read_hdf5(path: Path, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
    """Read arrays of frames, at the top level or in groups of any depth, each group with its own."""
    try:
        with h5py.File(path, "r") as file:
            yield from _joined(_group_blocks(path, file, mapping, frames_per_block), frames_per_block)
    except OSError as error:
        raise DataError(f"{path}: this is not an HDF5 file, or it is damaged ({error}).") from error


def _hdf5_names(path: Path) -> list[str]:
    try:
        with h5py.File(path, "r") as file:
            return _texts(name.rpartition("/")[2] for name in _dataset_paths(file))
    except OSError as error:
        raise DataError(f"{path}: this is not an HDF5 file, or it is damaged ({error}).") from error


def _dataset_paths(file: h5py.File) -> list[str]:
    paths = []
    file.visititems(lambda path, item: paths.append(path) if isinstance(item, h5py.Dataset) else None)
    return paths


def _group_blocks(path: Path, file: h5py.File, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
    paths = _dataset_paths(file)
    groups = dict.fromkeys(
        f"/{dataset}".removesuffix(f"/{source}")
        for dataset in paths
        for source in mapping.values()
        if f"/{dataset}".endswith(f"/{source}")
    )
    if not groups:
        require(Origin(str(path), mapping), _texts(dataset.rpartition("/")[2] for dataset in paths))
    first = 0
    for group in groups:
        label = group.lstrip("/") or ("/" if len(groups) > 1 else "")
        origin = Origin(str(path), mapping, label, first)
        table = Table(origin, _group_columns(origin, file[group or "/"]))
        yield from _from_table(table, frames_per_block)
        first += table.num_frames


def _group_columns(origin: Origin, group: h5py.Group) -> dict[str, h5py.Dataset]:
    columns = {name: group.get(source) for name, source in origin.sources.items()}
    for name, column in columns.items():
        if not isinstance(column, h5py.Dataset):
            raise origin.error(origin.missing(name, list(group)))
        if column.shape is None:
            raise origin.error(f"{origin.named(name)} is empty.")
        if column.dtype.kind == "O" and h5py.check_string_dtype(column.dtype) is None:
            instead = "Store rows of all frames one after the other, (all atoms, ...), with N; or pad with zeros"
            raise origin.error(f"{origin.named(name)} has rows of varying length. {instead}.")
    return columns


def _joined(blocks: Iterable[Block], frames_per_block: int) -> Iterator[Block]:
    """Join blocks as far as they fit, since a group often holds few frames."""
    waiting: list[Block] = []
    for block in blocks:
        if waiting and sum(b.num_frames for b in waiting) + block.num_frames > frames_per_block:
            yield _concatenate(waiting)
            waiting = []
        waiting.append(block)
    if waiting:
        yield _concatenate(waiting)


def _concatenate(blocks: Sequence[Block]) -> Block:
    first = blocks[0]
    if len(blocks) == 1:
        return first
    return Block(first.first, {name: np.concatenate([b.arrays[name] for b in blocks]) for name in first.arrays})


def _read_extxyz(path: Path, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
    """Read extended XYZ through ASE, frame by frame."""
    return _from_frames(path, xyz_frames(path), mapping, frames_per_block)


def _read_ase(path: Path, mapping: Mapping[str, str], frames_per_block: int) -> Iterator[Block]:
    """Read an ASE database through ASE, frame by frame."""
    return _from_frames(path, database_frames(path), mapping, frames_per_block)


def _first_names(frames: Iterator[dict[str, Any]]) -> list[str]:
    return list(next(frames, {}))


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
    "extxyz": lambda path: _first_names(xyz_frames(path)),
    "ase": lambda path: _first_names(database_frames(path)),
}
