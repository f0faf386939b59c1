"""The formats of data files, and how a file of any of them is read."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from pyg_nnp.data.formats import ase_files, aselmdb, hdf5, npz, pickles, qm9
from pyg_nnp.data.formats.files import files_of_folder, first_bytes, is_compressed
from pyg_nnp.data.formats.format import Format, types_in
from pyg_nnp.data.source import ArrayTypes, Block, add_types
from pyg_nnp.errors import DataError, did_you_mean

FORMATS = {
    one.name: one
    for one in (
        pickles.FORMAT,
        npz.FORMAT,
        hdf5.FORMAT,
        qm9.FORMAT,
        ase_files.EXTXYZ,
        ase_files.DATABASE,
        aselmdb.FORMAT,
    )
}
"""All formats by their names. A new reader is a module with a ``FORMAT``, and an entry here and in ``Datahub``."""

OWN_NAMES = tuple(one.name for one in FORMATS.values() if one.frames is None)
"""Formats in which names and units are the user's own."""

# first bytes of other files -> what they are
_FOREIGN = {
    rb"PK\x03\x04(?s:.){0,60}data\.pkl": "a file of torch.save",
    rb"\x93NUMPY": "a single numpy array (.npy)",
}


def read_blocks(
    path: Path,
    data_format: str,
    mapping: Mapping[str, str],
    frames_per_block: int = 1024,
    optional: Collection[str] = (),
) -> Iterator[Block]:
    """Read a data file as blocks of frames, or a folder of files of one format.

    Args:
        path: the file, or the folder.
        data_format: a name of FORMATS.
        mapping: standard field name -> the file's own name; always has ``Ra`` and ``Za``. Without ``N`` the atoms are
            counted from ``Za``, in which zeros at the end are padding.
        frames_per_block: largest number of frames in a block.
        optional: fields that frames may lack. Numbers are NaN where they are missing: the name absent, None or NaN.

    Returns:
        Blocks of the mapped fields and ``N``, in the order of the file and in its units.

    Raises:
        DataError: if the file is missing or of another format, lacks a mapped name, or holds values that are no numbers
            or whose shapes do not fit. Frames are counted from 0 over the whole file.
    """
    files = data_files(path, data_format, tell=True)
    for file in files:
        _check_file(file, data_format)
    read = FORMATS[data_format].read
    return _not_empty(path, _joined(read(file, mapping, frames_per_block, optional) for file in files))


def data_files(path: Path, data_format: str | None, *, tell: bool = False) -> list[Path]:
    """Return the file, or the files of a folder that are read; see :func:`files_of_folder`."""
    return files_of_folder(path, format_of, data_format, tell=tell) if os.path.isdir(path) else [path]


def columns_of(path: Path, data_format: str | None = None, most: int | None = None) -> ArrayTypes:
    """Return the names that a data file has, each with its first array.

    Without ``data_format`` it is that which the file seems to be of. Of a file that is read frame by frame all frames
    are looked at, or the first ``most``.
    """
    found = data_format or format_of(path)
    if found is None:
        known = "pickle, npz, hdf5, extxyz, QM9's XYZ, an ASE database, or one in an LMDB file (aselmdb)"
        other = _recognize(path)
        looks = f"looks like {other}, and " if isinstance(other, str) else ""
        raise DataError(f"{path}: this {looks}is no data file of a known format: {known}.")
    types: ArrayTypes = {}
    for file in data_files(path, found):
        _check_file(file, found)
        frames = FORMATS[found].frames
        of_file = FORMATS[found].array_types(file) if frames is None else types_in(islice(frames(file), most))
        add_types(types, of_file)
    return types


def format_of(path: Path) -> str | None:
    """Return the data_format that a file, or those in a folder, seem to be of by their first bytes; None for any other.

    Raises:
        DataError: there is no such file, it is empty, or a folder does not have files of one format.
    """
    found = _recognize(data_files(path, None)[0])
    return found.name if isinstance(found, Format) else None


def _recognize(path: Path) -> Format | str | None:
    """Return the format that the first bytes of a file show, what it is if it has another one, or None."""
    try:
        head = first_bytes(path)
    except FileNotFoundError:
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"{path}: there is no such file.{did_you_mean(path.name, beside)}") from None
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read ({error.strerror}).") from error
    if not head:
        raise DataError(f"{path}: the file is empty.")
    if is_compressed(path):
        return ase_files.EXTXYZ if re.match(ase_files.EXTXYZ.magic, head) else "a compressed file; unpack it first"
    # those of torch.save are zip files, too
    foreign = next((description for magic, description in _FOREIGN.items() if re.match(magic, head)), None)
    return foreign or next((one for one in FORMATS.values() if re.match(one.magic, head)), None)


def _joined(files: Iterable[Iterator[Block]]) -> Iterator[Block]:
    """Number the frames of several files one after the other."""
    first = 0
    for blocks in files:
        of_file = 0
        for block in blocks:
            yield replace(block, first=first + of_file)
            of_file += block.num_frames
        first += of_file


def _not_empty(path: Path, blocks: Iterator[Block]) -> Iterator[Block]:
    first = next(blocks, None)
    if first is None:
        raise DataError(f"{path}: there are no frames in this file.")
    yield first
    yield from blocks


def _check_file(path: Path, data_format: str) -> None:
    if data_format not in FORMATS:
        known = f"{did_you_mean(data_format, FORMATS)} Known: {', '.join(FORMATS)}."
        raise DataError(f"{path}: there is no data_format '{data_format}'.{known}")
    found = _recognize(path)
    if found is None or found is FORMATS[data_format]:
        return
    looks, instead = found, f"known formats: {', '.join(FORMATS)}"
    if isinstance(found, Format):
        looks, instead = found.description, f"set data_format: {found.name}"
    raise DataError(f"{path}: data_format is '{data_format}', but this looks like {looks}; {instead}.")
