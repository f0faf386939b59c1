"""The formats of data files, and how a file of any of them is read."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pyg_nnp.data.formats import ase_files, aselmdb, hdf5, npz, pickles, qm9
from pyg_nnp.data.formats.files import first_bytes, is_compressed, named_files
from pyg_nnp.data.formats.format import Format, types_in
from pyg_nnp.data.source import ArrayTypes, Block, add_types
from pyg_nnp.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from pyg_nnp.runtime.data_path import DataPath

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

IN_ASE_UNITS = (ase_files.EXTXYZ.name, ase_files.DATABASE.name, aselmdb.FORMAT.name)
"""Formats in eV and Å, where nothing else is said."""

# first bytes of other files -> what they are
_FOREIGN = {
    rb"PK\x03\x04(?s:.){0,60}data\.pkl": "a file of torch.save",
    rb"\x93NUMPY": "a single numpy array (.npy)",
}


def read_blocks(
    path: "Path | DataPath",
    data_format: str | None,
    mapping: Mapping[str, str],
    frames_per_block: int = 1024,
    optional: Collection[str] = (),
) -> Iterator[Block]:
    """Read data files as blocks of frames.

    Args:
        path: a file or a folder of files of one format, or several.
        data_format: a name of FORMATS; None: the one that each file seems to be of.
        mapping: standard field name -> the file's own name; always has ``Ra`` and ``Za``. Without ``N`` the atoms are
            counted from ``Za``, in which zeros at the end are padding.
        frames_per_block: largest number of frames in a block.
        optional: fields that frames may lack. Numbers are NaN where they are missing: the name absent, None or NaN.

    Returns:
        Blocks of the mapped fields and ``N``, in the order of the file and in its units.

    Raises:
        DataError: if the file is missing or of another format, lacks a mapped name, or holds values that are no numbers
            or whose shapes do not fit. Frames are counted from 0 over all files; in messages of readers over each.
    """
    files = data_files(path, data_format, tell=True)
    formats = [format_to_read(file, data_format) for file in files]
    blocks = [one.read(file, mapping, frames_per_block, optional) for one, file in zip(formats, files, strict=True)]
    return joined_blocks(files, blocks)


def data_files(path: "Path | DataPath", data_format: str | None, *, tell: bool = False) -> list[Path]:
    """Return the files that are read, those of a folder as :func:`files_of_folder` has them.

    Raises:
        DataError: a file is there twice, or a folder does not have files of one format.
    """
    return named_files(path, format_of, data_format, tell=tell)


def columns_of(path: "Path | DataPath", data_format: str | None = None, most: int | None = None) -> ArrayTypes:
    """Return the names that data files have, each with its first array.

    Without ``data_format`` it is that which each file seems to be of. Of a file that is read frame by frame all frames
    are looked at, or the first ``most``.
    """
    types: ArrayTypes = {}
    for file in data_files(path, data_format):
        found = format_to_read(file, data_format)
        of_file = found.array_types(file) if found.frames is None else types_in(islice(found.frames(file), most))
        add_types(types, of_file)
    return types


def format_of(path: "Path | DataPath") -> str | None:
    """Return the data_format that all files seem to be of by their first bytes; None for any other, and for several.

    Raises:
        DataError: there is no such file, it is empty, or a folder does not have files of one format.
    """
    found = formats_of(path)
    return found.pop() if len(found) == 1 else None


def formats_of(path: "Path | DataPath") -> set[str | None]:
    """Return the formats that files seem to be of, None for any other, with the errors of :func:`format_of`."""
    found = map(_recognize, data_files(path, None))
    return {one.name if isinstance(one, Format) else None for one in found}


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


def joined_blocks(files: Sequence[Path], blocks_of_files: Iterable[Iterator[Block]]) -> Iterator[Block]:
    """Number the frames of several files one after the other, and say which file they are from."""
    first = 0
    for file, blocks in zip(files, blocks_of_files, strict=True):
        for block in _not_empty(file, blocks):
            yield replace(block, first=first, file=str(file) if len(files) > 1 else "")
            first += block.num_frames


def _not_empty(path: Path, blocks: Iterator[Block]) -> Iterator[Block]:
    first = next(blocks, None)
    if first is None:
        raise DataError(f"{path}: there are no frames in this file.")
    yield first
    yield from blocks


def format_to_read(path: Path, data_format: str | None) -> Format:
    """Return the format that a file is to be read as; None: that which it seems to be of.

    Raises:
        DataError: it is of another, or there is none of this name.
    """
    if data_format is None:
        return _known(path, _recognize(path))
    if data_format not in FORMATS:
        known = f"{did_you_mean(data_format, FORMATS)} Known: {', '.join(FORMATS)}."
        raise DataError(f"{path}: there is no data_format '{data_format}'.{known}")
    found = _recognize(path)
    if found is None or found is FORMATS[data_format]:
        return FORMATS[data_format]
    looks, instead = found, f"known formats: {', '.join(FORMATS)}"
    if isinstance(found, Format):
        looks, instead = found.description, f"set data_format: {found.name}"
    raise DataError(f"{path}: data_format is '{data_format}', but this looks like {looks}; {instead}.")


def _known(path: Path, found: Format | str | None) -> Format:
    if isinstance(found, Format):
        return found
    known = "pickle, npz, hdf5, extxyz, QM9's XYZ, an ASE database, or one in an LMDB file (aselmdb)"
    looks = f"looks like {found}, and " if found else ""
    raise DataError(f"{path}: this {looks}is no data file of a known format: {known}.")
