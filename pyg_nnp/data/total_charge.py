"""The total charge that a structure says: the one rule for all that read structures.

It stands under the name that the training data had, else under a usual one. None and NaN say nothing; what is said and
cannot be taken is an error.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pyg_nnp.data.charge_text import charge_in_text
from pyg_nnp.data.source import CONFLICT, ArrayTypes
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS

_USUAL = ("Q", *FIELDS["Q"].aliases)
_IN_ANY_CASE = tuple(name.lower() for name in _USUAL)
_MOST_SHOWN = 40  # characters of a value


def charge_names(known: Iterable[Any], of_training: str | None = None) -> list[str]:
    """Return those of some names that stand for total charges: that of the training data, then the usual ones."""

    def rank(name: str) -> int:
        if name == of_training:
            return -1
        return _USUAL.index(name) if name in _USUAL else _IN_ANY_CASE.index(name.lower())

    texts = (name for name in known if isinstance(name, str))
    return sorted((name for name in texts if name == of_training or name.lower() in _IN_ANY_CASE), key=rank)


def charge_arrays(arrays: ArrayTypes, positions: str, of_training: str | None = None) -> list[str]:
    """Return those of the arrays of a file that hold total charges, in the order of :func:`charge_names`.

    A usual name alone is not enough: by its shape, and that of the array of ``positions``, it must be one number for
    each molecule and not for each atom.
    """
    atoms = arrays[positions].shape if positions in arrays else ()

    def is_of_molecules(name: str) -> bool:
        shape = tuple(length for length in arrays[name].shape if length != 1)
        if arrays[name].frames is not None:
            return not shape  # each frame has its own
        # (A, 3) are positions of one molecule, or of molecules one after the other
        return not shape or (len(shape) == 1 and (len(atoms) != 2 or shape[0] != atoms[0]))

    return [name for name in charge_names(arrays, of_training) if name == of_training or is_of_molecules(name)]


def name_in_training(configuration: Mapping[str, Any] | None) -> str | None:
    """Return the name of the total charge in the data of a training, by its configuration; None where it had none."""
    name: str | None = (configuration or {}).get("Datahub", {}).get("features", {}).get("Q")
    return name


def charge_of(values: Mapping[str, Any], of_training: str | None = None) -> float | None:
    """Return the total charge [e] that the values of one structure say, or None where they say none.

    A number in an array of one, or in a text as :func:`charge_in_text` has it, is a number; None and NaN say nothing.

    Raises:
        DataError: what is said is not one finite number, or two names say different charges.
    """
    said = {name: values[name] for name in charge_names(values, of_training) if values[name] is not None}
    if name := next((name for name, value in said.items() if value is CONFLICT), None):
        raise DataError(f"'{name}' is there twice, with different values. Remove or rename one.")
    found = {name: _number(value) for name, value in said.items()}
    numbers = {name: number for name, number in found.items() if number is not None and not math.isnan(number)}
    for name, number in found.items():
        if number is None and (name == of_training or not numbers):
            value = said[name]
            shown = f"'{value}'" if len(str(value)) < _MOST_SHOWN else f"of shape {np.shape(value)}"
            raise DataError(f"'{name}' is {shown}, but the total charge is one number. Correct it, or rename it.")
    if len(set(numbers.values())) > 1:
        listed = ", but ".join(f"'{name}' is {number:g}" for name, number in numbers.items())
        raise DataError(f"two total charges: {listed}. Remove one of them.")
    return next(iter(numbers.values()), None)


def given_charge(charge: Any) -> float:
    """Return a total charge [e] that was given for structures, which has to be a number.

    Raises:
        DataError: it is none.
    """
    number = _number(charge)
    if number is None or math.isnan(number):
        raise DataError(f"charge: {charge} is no total charge. Give a number.")
    return number


def _number(value: Any) -> float | None:
    """Return a finite number or NaN, also one in an array of one, or in a text; None for anything else."""
    try:
        array = np.asarray(value)
        item = array.item() if array.dtype.kind in "iufUSO" else math.inf
        text = item.decode(errors="replace") if isinstance(item, bytes) else item
        number = charge_in_text(text) if isinstance(text, str) else float(text)
    except (ValueError, TypeError):
        return None
    return None if number is None or math.isinf(number) else number
