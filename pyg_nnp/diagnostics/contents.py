"""What the arrays of a data file are: by its collection, or by names and shapes, and by reading all frames."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from pyg_nnp.data.formats import collections
from pyg_nnp.data.formats.guess import guess_fields, unlike_labels
from pyg_nnp.data.formats.readers import OWN_NAMES, columns_of, format_of, formats_of, read_blocks
from pyg_nnp.data.formats.stated_units import IN_ASE, StatedUnits, stated_units
from pyg_nnp.data.formats.unit_texts import says_unit
from pyg_nnp.data.source import ArrayTypes
from pyg_nnp.diagnostics.survey import Survey, survey
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS, MAY_BE_MISSING, OF_CELLS, WEIGHTS
from pyg_nnp.runtime.data_path import DataPath

_FRAMES = 1000  # whose names are looked at before all are read


@dataclass(frozen=True)
class Contents:
    """What a data file seems to have.

    Attributes:
        data_format: as the option of this name; None: files are of several formats.
        known: the collection whose layout it has.
        sources: standard name -> name in the file.
        dropped: standard name -> why the array that seemed to be it cannot be read.
        unused: names in the file that nothing is read from, without texts that say units.
        stated: units as the file states them, else as its collection has them, else as its format means them.
        frames: what was seen of all frames.
    """

    data_format: str | None
    known: collections.Collection | None
    sources: Mapping[str, str]
    dropped: Mapping[str, str]
    unused: list[str]
    stated: StatedUnits
    frames: Survey


def contents_of(path: DataPath, mapping: Mapping[str, str]) -> Contents:
    """Read a data file and return what it seems to have.

    Args:
        path: the file, or several.
        mapping: standard name -> name in the file, where the user knows better than names and shapes; an empty name
            says that the file has none.

    Raises:
        DataError: the file cannot be read, or has no positions or elements that could be recognised.
    """
    data_format = format_of(path)
    seen = columns_of(path, most=_FRAMES)
    wrong: dict[str, str] = {}
    while True:
        columns = seen
        known = collections.collection_of(columns, data_format or "", mapping)
        fields = _fields(path, columns, known, mapping)
        found, sources, dropped = _readable(path, data_format, fields, mapping)
        if sources.get("Q") not in (None, mapping.get("Q"), *FIELDS["Q"].aliases) and np.mod(found.charges, 1).any():
            wrong, mapping = {"Q": f"'{sources['Q']}' has no whole numbers"}, {**mapping, "Q": ""}
            continue
        # later frames may have more names, which may be taken for something
        seen = found.columns or columns
        if seen.keys() == columns.keys():
            break
    dropped |= wrong
    dropped |= {name: f"'{sources.pop(name)}' {why}" for name, why in _useless(found, sources)}
    sample = found.sample.arrays
    if "Qa" in sources and "Qa" not in mapping and np.array_equal(sample["Qa"], sample["Za"]):
        dropped["Qa"] = f"'{sources.pop('Qa')}' are the atomic numbers"
    rest = {name: array for name, array in columns.items() if name not in sources.values()}
    unused = [name for name, array in rest.items() if not says_unit(name, array.dtype)]
    stated = _stated(path, data_format, known, sources)
    return Contents(data_format, known, sources, dropped, unused, stated, found)


def _useless(found: Survey, sources: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what tells nothing, and why: labels and charges without a finite number, dipoles of crystals."""
    nowhere = [name for name in MAY_BE_MISSING if name in sources and name not in found.somewhere]
    useless = [(name, "has no finite number in any frame") for name in nowhere]
    if {"M2", "cell"} <= sources.keys() and "M2" not in nowhere:
        useless.append(("M2", "is not learned where frames are periodic: the dipole of a cell has no meaning"))
    return useless


def _stated(
    path: DataPath, data_format: str | None, known: collections.Collection | None, sources: Mapping[str, str]
) -> StatedUnits:
    stated = stated_units(path, data_format, sources)
    if known is not None:
        stated = stated.or_else(StatedUnits.of(known.units, f"as {known.name} has it"))
    return stated.or_else(IN_ASE) if formats_of(path).isdisjoint(OWN_NAMES) else stated


def _fields(
    path: DataPath, columns: ArrayTypes, known: collections.Collection | None, mapping: Mapping[str, str]
) -> dict[str, str]:
    """Return standard name -> name in the file: as a user or a collection has it, and guesses of all else."""
    if known is None:
        guessed = guess_fields(columns)
    else:
        guessed = guess_fields(known.without_other_methods(columns), known.sources(columns), by_shape=False)
    # what cannot be read is told with the reason
    guessed |= unlike_labels(columns, {**guessed, **mapping})
    guessed = {name: source for name, source in guessed.items() if source not in mapping.values()}
    fields = {name: source for name, source in {**guessed, **mapping}.items() if source}
    for name in (name for name in ("Ra", "Za") if name not in fields):
        shown = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
        what = FIELDS[name].meaning
        raise DataError(f"{path}: none of these look like {what}: {shown}. Say which: --map {name}=NAME.")
    return fields


def _readable(
    path: DataPath, data_format: str | None, fields: Mapping[str, str], sure: Collection[str]
) -> tuple[Survey, dict[str, str], dict[str, str]]:
    """Look at all frames, without the guesses that turn out to be wrong when they are read.

    Returns:
        What was seen; standard name -> name in the file, of what can be read; and of each guess that was wrong why.
    """

    def read(names: Collection[str]) -> Survey:
        mapping = {name: fields[name] for name in names}
        return survey(read_blocks(path, data_format, mapping, optional={*MAY_BE_MISSING, *WEIGHTS}))

    ordered = [name for name in FIELDS if name in fields]
    molecules = [name for name in ordered if name not in (*OF_CELLS, "S") or name in sure]
    if molecules != ordered and "cell" not in sure:
        instead = f"all can be read as molecules; if these are crystals, say --map cell={fields.get('cell')}"
        left = {"cell": instead} if "cell" in fields else {}
        with suppress(DataError):  # which something periodic is
            return read(molecules), {name: fields[name] for name in molecules}, left
    ordered = ordered if "cell" in ordered else molecules
    dropped: dict[str, str] = {}
    try:
        return read(ordered), {name: fields[name] for name in ordered}, dropped
    except DataError:
        # one by one, it shows which is wrong
        kept = [name for name in molecules if name in ("Ra", "Za", *OF_CELLS)]
    try:
        read(kept)
        ordered = molecules
    except DataError:
        kept = ["Ra", "Za", *(name for name in OF_CELLS if name in ordered)]
    for name in (name for name in ordered if name not in kept):
        try:
            read([*kept, name])
        except DataError as error:
            if name in sure:
                raise
            dropped[name] = str(error).removeprefix(f"{path}: ")
        else:
            kept.append(name)
    return read(kept), {name: fields[name] for name in ordered if name in kept}, dropped
