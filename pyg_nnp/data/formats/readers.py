"""The formats of data files, how a file of any of them is read, and what fields its arrays probably are."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pyg_nnp.data.formats import ase_files, hdf5, npz, pickles
from pyg_nnp.data.formats.format import Format, Frame, frame_blocks
from pyg_nnp.data.formats.values import ArrayTypes
from pyg_nnp.data.source import Block
from pyg_nnp.data.total_charge import charge_arrays, charge_of
from pyg_nnp.errors import DataError, did_you_mean
from pyg_nnp.fields import FEATURES, FIELDS, TARGETS

log = logging.getLogger(__name__)

FORMATS = {one.name: one for one in (pickles.FORMAT, npz.FORMAT, hdf5.FORMAT, ase_files.EXTXYZ, ase_files.DATABASE)}
"""All formats by their names. A new reader is a module with a ``FORMAT``, and an entry here and in ``Datahub``."""

OWN_NAMES = tuple(one.name for one in FORMATS.values() if one.frames is None)
"""Formats in which names and units are the user's own."""

# first bytes of other files -> what they are
_FOREIGN = {
    rb"PK\x03\x04(?s:.){0,60}data\.pkl": "a file of torch.save",
    rb"\x93NUMPY": "a single numpy array (.npy)",
    rb"\x1f\x8b|BZh|\xfd7zXZ": "a compressed file; unpack it first",
}


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
    _check_file(path, data_format)
    return _not_empty(path, FORMATS[data_format].read(path, mapping, frames_per_block))


def structure_blocks(path: Path, features: Mapping[str, str]) -> Iterator[Block]:
    """Read structures without labels, to be predicted: from a data file, or whatever ASE reads.

    ``features`` are their names in the file; where ASE reads it positions and elements are always under ASE's own.

    Yields:
        Blocks of ``N``, ``Za``, ``Ra`` and ``Q``, which is NaN where the file says none, in the units of the file.
    """
    data_format = format_of(path)
    if data_format in OWN_NAMES:
        names = columns_of(path, data_format)
        wanted = [name for name in FEATURES if name in ("Ra", "Za") or (name != "Q" and features.get(name) in names)]
        mapping = {name: features[name] for name in wanted}
        charges = charge_arrays(names, features["Ra"], features.get("Q"))
        blocks = read_blocks(path, data_format, mapping | dict(zip(["Q"], charges, strict=False)))
        if charges[1:]:
            log.warning("%s: total charges are those of '%s'; not read: %s.", path, charges[0], ", ".join(charges[1:]))
    else:
        read = FORMATS[data_format].frames if data_format else None
        frames = _with_charges(path, (read or ase_files.other_frames)(path), features.get("Q"))
        blocks = frame_blocks(path, frames, {"Ra": "positions", "Za": "numbers", "Q": "Q"})
    for block in blocks:
        block.arrays.setdefault("Q", np.full(block.num_frames, np.nan))
        yield block


def _with_charges(path: Path, frames: Iterable[Frame], of_training: str | None) -> Iterator[Frame]:
    """Yield frames with their total charge as ``Q``, NaN where they say none."""
    for number, frame in enumerate(frames):
        try:
            charge = charge_of(frame, of_training)
        except DataError as error:
            raise DataError(f"{path}: frame {number}: {error}") from error
        yield {**frame, "Q": np.nan if charge is None else charge}


def columns_of(path: Path, data_format: str | None = None) -> ArrayTypes:
    """Return the names in a data file, with shape and type of the first array of each.

    For pickled lists of frames and for HDF5 groups, names that any of them has; for extxyz files and ASE databases, the
    names of the first frame. Without ``data_format`` it is that which the file seems to be of.
    """
    found = data_format or format_of(path)
    if found is None:
        known = "pickle, npz, hdf5, extxyz or an ASE database"
        raise DataError(f"{path}: this is no data file of a known format: {known}.")
    _check_file(path, found)
    return FORMATS[found].array_types(path)


def format_of(path: Path) -> str | None:
    """Return the data_format that a file seems to be of, as its first bytes show; None for any other."""
    found = _recognize(path)
    return found.name if isinstance(found, Format) else None


def guess_fields(columns: ArrayTypes) -> dict[str, str]:
    """Return standard name -> name in the file, as names and shapes suggest; what nothing fits is left out."""
    guessed: dict[str, str] = {}
    # names before shapes, and exact names first
    for least in (3, 2, 1, 0):
        for field in (*FEATURES, *TARGETS):
            free = [name for name in columns if name not in guessed.values() and _fits_type(field, columns, name)]
            fitting = [name for name in free if _likeness(field, name) >= least]
            if least == 0 and field == "Za" and "Ra" in guessed:
                atoms = columns[guessed["Ra"]][0][-2:-1]
                fitting = [name for name in fitting if columns[name][0][-1:] == atoms]
            # a shape alone says something only if nothing else has it
            is_telling = least or (len(fitting) == 1 and field in ("Ra", "Za", "E", "M2"))
            if field not in guessed and fitting and is_telling:
                guessed[field] = fitting[0]
    return guessed


def is_gradient(name: str) -> bool:
    """Return whether a name is that of the gradient of the energy, such as ``gradients`` or ``dE/dR``."""
    return re.search("grad|^d_?e[_/]*d", name.lower()) is not None


def _recognize(path: Path) -> Format | str | None:
    """Return the format that the first bytes of a file show, what it is if it has another one, or None."""
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
    # those of torch.save are zip files, too
    foreign = next((description for magic, description in _FOREIGN.items() if re.match(magic, head)), None)
    return foreign or next((one for one in FORMATS.values() if re.match(one.magic, head)), None)


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


def _likeness(field: str, name: str) -> int:
    """Return 3 for a name of the field, 2 for one in another case, 1 for one that contains it, 0 for any other."""
    names = (field, *FIELDS[field].aliases)
    if name in names or name.lower() in {alias.lower() for alias in names}:
        return 3 if name in names else 2
    parts = (*FIELDS[field].aliases, *FIELDS[field].name_parts)
    contained = any(len(part) > 2 and part.lower() in name.lower() for part in parts)
    return 1 if contained or (field == "Fa" and is_gradient(name)) else 0


def _fits_type(field: str, columns: ArrayTypes, name: str) -> bool:
    """Return whether an array, of all frames or of one, can hold a field."""
    shape, dtype = columns[name]
    whole = FIELDS[field].dtype == "int"
    if dtype.kind not in ("iuUSO" if field == "Za" else "iu" if whole else "iuf" if field == "Q" else "f"):
        return False
    row = FIELDS[field].shape
    axes = len(row) + (1 if FIELDS[field].level == "atom" else 0)
    # of one frame, of all frames, and both with an axis of length 1, as (frames, 1) or (1, 3)
    for own in (shape, shape[1:]):
        for found in (own, tuple(length for length in own if length != 1)):
            if len(found) == axes and found[axes - len(row) :] == row:
                return True
    return False
