"""What files say of their units, in texts beside the arrays: ``energy_unit``, ``units``, ``_property_unit_dict``."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyg_nnp.errors import DataError
from pyg_nnp.runtime.data_path import DataPath
from pyg_nnp.units import Units

_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")  # of names as energy_unit, E_unit, energyUnits
UNIT_NAMES = {"unit", "units"}
_NO_QUANTITY = {*UNIT_NAMES, "of", "property", "dict"}
_LONGEST = 40


class Statement(NamedTuple):
    """The text of a unit, and where it stands."""

    text: str
    where: str


Statements = dict[str, Statement]
"""Name of an array, or a word such as ``energy``, -> its unit; under an empty name what was not understood."""

Parts = Iterable[tuple[str, Statements]]
"""What parts of a file say, such as ``frame 3``, each with its name; without a name the file as a whole."""


def statements_in(attributes: Mapping[Any, Any], place: str = "") -> Statements:
    """Return what texts with ``unit`` in their names say, among them one dict of units by the names of arrays.

    ``place`` is put before the name of the text, to say where it stands.
    """
    found: Statements = {}
    for name, value in attributes.items():
        if isinstance(value, Mapping):  # {"energy": {"units": "eV"}}
            found |= {key: Statement(text, f"{place}'{name}'") for key, text in _units_of_each(value)}
        words = _WORD.findall(name) if isinstance(name, str) else []
        if not UNIT_NAMES & {word.lower() for word in words}:
            continue
        where = f"{place}'{name}'"
        if isinstance(value, Mapping):
            texts = {key: text for key, item in value.items() if isinstance(key, str) and (text := unit_text(item))}
            found |= {key: Statement(text, where) for key, text in texts.items()}
        elif text := unit_text(value):
            quantity = "_".join(word for word in words if word.lower() not in _NO_QUANTITY)
            found |= {quantity: Statement(text, where)} if quantity else _general(text, where)
    return found


def _units_of_each(quantities: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names of quantities that are described one by one, as fairchem has targets, and their units."""
    for name, about in quantities.items():
        for key in UNIT_NAMES & about.keys() if isinstance(about, Mapping) and isinstance(name, str) else ():
            if text := unit_text(about[key]):
                yield name, text


def joined(path: Path | DataPath, parts: Parts) -> Statements:
    """Return what several parts of a file or of a folder, such as ``frame 3``, say together.

    Raises:
        DataError: two of them say different units for the same.
    """
    found: Statements = {}
    places: dict[str, str] = {}
    for place, statements in parts:
        for name, statement in statements.items():
            first = found.setdefault(name, statement)
            if first.text != statement.text and Units.parse(first.text) != Units.parse(statement.text):
                what = f"{statement.where} says '{statement.text}' in {place}, but '{first.text}' in {places[name]}"
                raise DataError(f"{path}: {what}. Give all in the same units.")
            places.setdefault(name, place)
    return found


class SameUnits:
    """Whether frames of a file that are read one after the other say the same units."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: list[tuple[str, Statements]] = []

    def check(self, first: int, frames: Iterable[Mapping[Any, Any]], names: Iterable[str]) -> None:
        """Look at frames from number ``first`` on, with ``names`` in any of them.

        Raises:
            DataError: one says another unit than one before it.
        """
        texts = [name for name in names if _is_of_units(name)]
        for number, frame in enumerate(frames, first) if texts else ():
            said = statements_in({name: frame.get(name) for name in texts})
            if said and all(said != of_other for _, of_other in self._told):
                self._told.append((f"frame {number}", said))
                joined(self._path, self._told)


def says_unit(name: str, dtype: np.dtype[Any]) -> bool:
    """Return whether an array is a text such as :func:`statements_in` reads."""
    return dtype.kind in "US" and _is_of_units(name)


def _is_of_units(name: str) -> bool:
    return not UNIT_NAMES.isdisjoint(word.lower() for word in _WORD.findall(name))


def _general(text: str, where: str) -> Statements:
    """Return what a text says of all arrays, such as ``eV/Ang``, ``eV, Angstrom`` or ``energy: eV; length: Ang``."""
    found: Statements = {}
    for part in filter(None, map(str.strip, re.split("[,;]", text))):
        named = re.fullmatch(r"(\w+)\s*[:=]\s*(.+)", part)
        if named:
            found[named[1]] = Statement(named[2], where)
        elif units := Units.parse(part):
            found |= {kind: Statement(of_kind, where) for kind, of_kind in units.texts.items()}
        else:
            found[""] = Statement(part, where)
    return found


def unit_text(value: Any) -> str:
    """Return a text, or an empty one for a value that is none, with nothing in it that breaks a line."""
    item = value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else value
    text = item.decode(errors="replace") if isinstance(item, bytes) else item if isinstance(item, str) else ""
    return "".join(letter if letter.isprintable() else "?" for letter in text.strip()[:_LONGEST])
