"""The units of a data file: what it says of them, and what its format means where it says nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pyg_nnp.data.formats.readers import IN_ASE_UNITS, data_files, format_to_read
from pyg_nnp.data.formats.unit_texts import Statement, Statements, joined
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS, Kind
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
        DataError: a file cannot be read, or files or parts of one are in different units.
    """
    files = data_files(path, data_format)
    parts = [part for file in files for part in _parts(file, data_format, sources, is_one=len(files) == 1)]
    stated = understood(joined(path, ((part.place, part.statements) for part in parts)), sources)
    kinds: tuple[Kind, ...] = ("energy", "length")
    doubts = [doubt for kind in kinds if kind in stated.said for doubt in _unknown(path, parts, kind)]
    return replace(stated, doubts=(*stated.doubts, *doubts))


@dataclass(frozen=True)
class _Part:
    """A part of the data that says other units than those before it: its name, what it says, what this means."""

    place: str
    statements: Statements
    stated: StatedUnits
    or_else: StatedUnits  # where nothing is said

    def says(self, kind: str) -> bool:
        return kind in self.stated.said

    def known(self, kind: str) -> str:
        """Return the unit of a kind and how it is known; empty where it is not."""
        known = self.stated.or_else(self.or_else)
        return f"in {known.units.names[kind]}, {known.said[kind]}" if kind in known.said else ""

    def differs(self, other: "_Part", kind: Kind) -> bool:
        ours, theirs = (part.stated.or_else(part.or_else).units.in_ase(kind) for part in (self, other))
        return abs(ours / theirs - 1) > _SAME


def _parts(file: Path, data_format: str | None, sources: Mapping[str, str], *, is_one: bool) -> Iterator[_Part]:
    """Yield one part of all those of a file that say the same."""
    one = format_to_read(file, data_format)
    distinct: dict[frozenset[tuple[str, Statement]], tuple[str, Statements]] = {}
    for place, statements in one.unit_statements(file, [*sources.values()]):
        distinct.setdefault(frozenset(statements.items()), (place, statements))
    or_else = IN_ASE if one.name in IN_ASE_UNITS else StatedUnits(Units(), {}, ())
    for place, statements in distinct.values():
        of_file = f"{place} of {file.name}" if place and len(distinct) > 1 else file.name
        yield _Part(place if is_one and place else of_file, statements, understood(statements, sources), or_else)


def _unknown(path: Path | DataPath, parts: list[_Part], kind: Kind) -> Iterator[str]:
    """Compare all parts with the first that says a unit, and yield a doubt about those whose unit is not known.

    Raises:
        DataError: they are in another.
    """
    speaker = next((part for part in parts if part.says(kind)), None)
    if speaker is None:
        return
    for part in parts:
        if part.known(kind) and part.differs(speaker, kind):
            what = f"{part.place} is {part.known(kind)}, but {speaker.place} {speaker.known(kind)}"
            raise DataError(f"{path}: {what}. Give all in the same units, or convert one.")
    unknown = [part.place for part in parts if not part.known(kind)]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        yield f"{unknown[0]}{more} says no unit of {kind}, and is read as {speaker.place} is: {speaker.known(kind)}"


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
