"""Names, shapes and types in a data file, and the standard fields that they probably are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyg_nnp.data.formats.readers import FORMATS, format_of
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FEATURES, FIELDS, TARGETS


@dataclass(frozen=True)
class Column:
    """An array of a data file.

    Attributes:
        shape: of the array, or of the first frame's where each frame has its own.
        kind: as numpy's ``dtype.kind``.
        dtype: its name.
    """

    shape: tuple[int, ...]
    kind: str
    dtype: str


def columns_of(path: Path) -> dict[str, Column]:
    """Return the names in a data file of any known format, with shape and type of the first array of each.

    Raises:
        DataError: the file cannot be read.
    """
    data_format = format_of(path)
    if data_format is None:
        raise DataError(
            f"{path}: this is no data file of a known format: pickle, npz, hdf5, extxyz or an ASE database."
        )
    found = FORMATS[data_format].array_types(path)
    return {name: Column(shape, dtype.kind, str(dtype)) for name, (shape, dtype) in found.items()}


def guess_fields(columns: Mapping[str, Column]) -> dict[str, str]:
    """Return standard name -> name in the file, as names and shapes suggest; what nothing fits is left out."""
    guessed: dict[str, str] = {}
    # names before shapes, and exact names first
    for fits_name in (_is_alias, _is_alias_in_any_case, _contains_alias, _any_name):
        for field in (*FEATURES, *TARGETS):
            free = [name for name in columns if name not in guessed.values()]
            fitting = [n for n in free if fits_name(field, n) and _fits_shape(field, columns[n])]
            if fits_name is _any_name and field == "Za" and "Ra" in guessed:
                atoms = columns[guessed["Ra"]].shape[-2:-1]
                fitting = [name for name in fitting if columns[name].shape[-1:] == atoms]
            # a shape alone says something only if nothing else has it
            if field not in guessed and fitting and (fits_name is not _any_name or _telling(field, fitting)):
                guessed[field] = fitting[0]
    return guessed


def _is_alias(field: str, name: str) -> bool:
    return name == field or name in FIELDS[field].aliases


def _is_alias_in_any_case(field: str, name: str) -> bool:
    return name.lower() in {alias.lower() for alias in (field, *FIELDS[field].aliases)}


def _contains_alias(field: str, name: str) -> bool:
    parts = (*FIELDS[field].aliases, *FIELDS[field].name_parts)
    contained = any(len(part) > 2 and part.lower() in name.lower() for part in parts)
    return contained or (field == "Fa" and is_gradient(name))


def is_gradient(name: str) -> bool:
    """Return whether a name is that of the gradient of the energy, such as ``gradients`` or ``dE/dR``."""
    return re.search("grad|^d_?e[_/]*d", name.lower()) is not None


def _any_name(field: str, name: str) -> bool:
    return True


def _telling(field: str, fitting: list[str]) -> bool:
    return len(fitting) == 1 and field in ("Ra", "Za", "E", "M2")


def _fits_shape(field: str, column: Column) -> bool:
    """Return whether an array, of all frames or of one, can hold a field."""
    whole = FIELDS[field].dtype == "int"
    if column.kind not in ("iuUSO" if field == "Za" else "iu" if whole else "iuf" if field == "Q" else "f"):
        return False
    row = FIELDS[field].shape
    axes = len(row) + (1 if FIELDS[field].level == "atom" else 0)
    # of one frame, of all frames, and both with an axis of length 1, as (frames, 1) or (1, 3)
    for own in (column.shape, column.shape[1:]):
        for shape in (own, tuple(length for length in own if length != 1)):
            if len(shape) == axes and shape[axes - len(row) :] == row:
                return True
    return False
