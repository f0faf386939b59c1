"""A configuration to begin with, written by what a data file seems to have."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from ase.data import chemical_symbols

from pyg_nnp.config.template import Draft
from pyg_nnp.data.formats import collections
from pyg_nnp.data.formats.guess import guess_fields, is_gradient
from pyg_nnp.data.formats.readers import OWN_NAMES, columns_of, format_of, read_blocks
from pyg_nnp.data.formats.stated_units import IN_ASE, StatedUnits, stated_units
from pyg_nnp.data.formats.unit_statements import says_unit
from pyg_nnp.diagnostics.guesses import likely_energy, likely_length, suggested_weights, weights_by_forces
from pyg_nnp.diagnostics.survey import Survey, survey
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS, OF_CELLS, TARGETS, WEIGHTS


def first_config(
    path: Path, mapping: Mapping[str, str], architecture: str = Draft.architecture, minutes: float | None = None
) -> tuple[str, list[str]]:
    """Return a commented configuration for a data file, and lines that say what was guessed.

    Args:
        path: the file.
        mapping: standard name -> name in the file, where the user knows better than names and shapes; an empty name
            says that the file has none.
        architecture: of the model, one of :data:`pyg_nnp.config.recipes.RECIPES`.
        minutes: how long it is trained; None: as long as its recipe says.

    Raises:
        DataError: the file cannot be read, or has no positions or elements that could be recognised.
    """
    columns = columns_of(path)
    data_format = format_of(path) or ""
    known = collections.collection_of(columns, data_format, mapping)
    guessed = guess_fields(columns) if known is None else known.sources(columns)
    guessed = {name: source for name, source in guessed.items() if source not in mapping.values()}
    fields = {name: source for name, source in {**guessed, **mapping}.items() if source}
    for name in (name for name in ("Ra", "Za") if name not in fields):
        shown = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
        what = FIELDS[name].meaning
        raise DataError(f"{path}: none of these look like {what}: {shown}. Say which: --map {name}=NAME.")
    found, sources, dropped = _readable(path, data_format, fields, mapping)
    stated = _stated(path, data_format, sources, known)
    is_known_gradient = known is not None and known.is_gradient and sources.get("Fa") == known.fields.get("Fa")
    molecules = found.num_frames - found.num_isolated
    length = likely_length(found.sample, sources["Ra"], stated)
    targets = [name for name in TARGETS if name in sources]
    draft = Draft(
        data_path=str(path),
        data_format=data_format,
        sources=sources,
        unused=[name for name in columns if name not in sources.values() and not says_unit(name, columns[name].dtype)],
        layout=known.name if known is not None else "",
        missing={name: (molecules - few, molecules) for name, few in found.labelled.items() if few < molecules},
        dropped=dropped,
        atomic_energy="isolated" if set(found.isolated) == set(found.elements) else "fit",
        has_gradients=is_known_gradient or is_gradient(sources.get("Fa", "")),
        num_frames=molecules,
        atoms_per_frame=float(found.sample.arrays["N"].mean()),
        weights=suggested_weights(found.sample, targets),
        weights_by_forces=weights_by_forces(found.sample, targets, length[0]),
        length=length,
        energy=likely_energy(found.sample, sources.get("E", ""), length[0], stated),
        charges_differ=len(found.charges) > 1,
        architecture=architecture,
        minutes=minutes,
    )
    return draft.text(), [*draft.guesses(), *_isolated_atoms(found), *stated.doubts]


def _stated(
    path: Path, data_format: str, sources: Mapping[str, str], known: collections.Collection | None
) -> StatedUnits:
    """Return the units that the file states, else those of its collection, else those that its format means."""
    stated = stated_units(path, data_format, sources)
    if known is not None:
        stated = stated.or_else(StatedUnits.of(known.units, f"as {known.name} has it"))
    return stated if data_format in OWN_NAMES else stated.or_else(IN_ASE)


def _isolated_atoms(found: Survey) -> list[str]:
    """Return a line on the isolated atoms among the frames, if there are any."""
    if not found.isolated:
        return []
    atoms = f"{found.num_isolated} of {found.num_frames} frames are isolated atoms"
    if missing := [chemical_symbols[Z] for Z in found.elements if Z not in found.isolated]:
        return [f"{atoms}, but none is {' or '.join(missing)}: reference energies are fitted to all frames"]
    return [f"{atoms}: reference energies, and in no part"]


def _readable(
    path: Path, data_format: str, fields: Mapping[str, str], sure: Collection[str]
) -> tuple[Survey, dict[str, str], dict[str, str]]:
    """Look at all frames, without the guesses that turn out to be wrong when they are read.

    Returns:
        What was seen; standard name -> name in the file, of what can be read; and of each guess that was wrong why.
    """

    def read(names: Collection[str]) -> Survey:
        mapping = {name: fields[name] for name in names}
        return survey(read_blocks(path, data_format, mapping, optional={*TARGETS, *WEIGHTS}))

    ordered = [name for name in FIELDS if name in fields]
    molecules = [name for name in ordered if name not in (*OF_CELLS, "S") or name in sure]
    if molecules != ordered:
        with suppress(DataError):  # which something periodic is
            return read(molecules), {name: fields[name] for name in molecules}, {}
    ordered = ordered if "cell" in ordered else molecules
    dropped: dict[str, str] = {}
    try:
        return read(ordered), {name: fields[name] for name in ordered}, dropped
    except DataError:
        # one by one, it shows which is wrong
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
