"""The units of a data file: what it says of them, and what its format means where it says nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyg_nnp.data.formats.readers import data_files, format_to_read
from pyg_nnp.data.formats.unit_texts import Statement, Statements, joined
from pyg_nnp.fields import FIELDS
from pyg_nnp.runtime.data_path import DataPath
from pyg_nnp.units import ASE, Units

# words of general statements, besides the names of the quantity in data files
_WORDS = {"Ra": ("length", "lengths", "distance", "distances"), "E": (), "Fa": (), "M2": ("dipole_moment",)}
_SAME = 1e-3  # no two units are as near


@dataclass(frozen=True)
class StatedUnits:
    """Units that a file states.

    Attributes:
        units: as far as they are stated.
        said: how each is known, by kind of unit; follows the name of the unit in messages.
        doubts: what was not understood, and what is in a unit that does not go with the others, a sentence each.
    """

    units: Units
    said: Mapping[str, str]
    doubts: tuple[str, ...]

    @classmethod
    def of(cls, units: Units, said: str) -> "StatedUnits":
        """Return units that are all known in the same way."""
        return cls(units, dict.fromkeys(units.texts, said), ())

    def or_else(self, other: "StatedUnits") -> "StatedUnits":
        """Return these units, and those of ``other`` where they are not known."""
        return StatedUnits(self.units.or_else(other.units), {**other.said, **self.said}, (*self.doubts, *other.doubts))


IN_ASE = StatedUnits.of(ASE, "as ASE has it")
"""eV and Å, which files of ASE's formats are in."""


def stated_units(path: Path | DataPath, data_format: str | None, sources: Mapping[str, str]) -> StatedUnits:
    """Return the units that data files state.

    Args:
        path: a file, or several.
        data_format: a name of FORMATS; None: the one that each file seems to be of.
        sources: standard name -> name in the file, of the fields that are read from it.

    Raises:
        DataError: a file cannot be read, or files or parts of one say different units.
    """
    of_files = (
        (file.name, format_to_read(file, data_format).unit_statements(file, [*sources.values()]))
        for file in data_files(path, data_format)
    )
    return understood(joined(path, of_files), sources)


def understood(statements: Statements, sources: Mapping[str, str]) -> StatedUnits:
    """Return the units in what was found beside arrays, of which ``sources`` are read."""
    found = {name: one for name in _WORDS if (one := _statement_on(name, statements, sources.get(name, name)))}
    units = Units()
    said: dict[str, str] = {}
    doubts: list[str] = []
    # forces tell only what nothing else does
    for name in ("E", "Ra", "Fa", "M2"):
        if name not in found:
            continue
        (text, where), kind = found[name], FIELDS[name].unit
        stated = Units.parse(text, kind)
        if stated is None:
            doubts.append(f"{where} says '{text}' for {FIELDS[name].short_meaning}, which is no known unit")
        elif name != "M2":
            said |= {one: f"as {where} says" for one in stated.texts if one not in said}
            units = units.or_else(stated)
        if stated and (doubt := _doubt(name, stated, units, found[name])):
            doubts.append(doubt)
    if "" in statements:
        doubts.append(f"{statements[''].where} is '{statements[''].text}', which is no known unit")
    return StatedUnits(units, said, tuple(doubts))


def _statement_on(name: str, statements: Statements, source: str) -> Statement | None:
    """Return what is said of a field, by its name in the file, or else by any usual name of it."""
    if source in statements:
        return statements[source]
    usual = {word.lower() for word in (name, *FIELDS[name].aliases, *_WORDS[name])}
    return next((one for word, one in statements.items() if word.lower() in usual), None)


def _doubt(name: str, stated: Units, units: Units, statement: Statement) -> str:
    """Say that a field is in a unit that does not go with those of energy and length."""
    kind = FIELDS[name].unit
    if ("energy" in kind and units.hartree is None) or ("length" in kind and units.bohr is None):
        return ""
    factor = stated.in_ase(kind) / units.in_ase(kind)
    if abs(factor - 1) < _SAME:
        return ""
    return (
        f"{statement.where} says '{statement.text}' for {FIELDS[name].short_meaning}, but with the other units it has "
        f"to be {units.names[kind]}: multiply by {factor:.9g}"
    )
