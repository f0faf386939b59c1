"""The standard fields that the arrays of a data file probably are, by their names and shapes."""

import re

from pyg_nnp.data.formats.format import ArrayTypes
from pyg_nnp.fields import FEATURES, FIELDS, TARGETS


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
