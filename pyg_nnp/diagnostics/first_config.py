"""A configuration to begin with, written by what a data file seems to have."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from ase.data import chemical_symbols

from pyg_nnp.config.template import Draft
from pyg_nnp.diagnostics.conditions import check_conditions
from pyg_nnp.diagnostics.contents import Contents, contents_of
from pyg_nnp.diagnostics.elements import check_elements, refuse_other_numbers
from pyg_nnp.diagnostics.guesses import few_frames, likely_energy, likely_length, suggested_weights, weights_by_forces
from pyg_nnp.diagnostics.sign_of_forces import sign_of_forces
from pyg_nnp.diagnostics.survey import Survey
from pyg_nnp.fields import TARGETS
from pyg_nnp.runtime.data_path import DataPath


def first_config(
    path: Path | DataPath,
    mapping: Mapping[str, str],
    architecture: str = Draft.architecture,
    minutes: float | None = None,
) -> tuple[str, list[str]]:
    """Return a commented configuration for a data file, and lines that say what was guessed.

    Args:
        path: the file, or several.
        mapping: standard name -> name in the file, where the user knows better than names and shapes; an empty name
            says that the file has none.
        architecture: of the model, one of :data:`pyg_nnp.config.recipes.RECIPES`.
        minutes: how long it is trained; None: as long as its recipe says.

    Raises:
        DataError: the file cannot be read, or has no positions or elements that could be recognised.
    """
    path = DataPath.of(path)
    contents = contents_of(path, mapping)
    found, sources, known, stated = contents.frames, contents.sources, contents.known, contents.stated
    refuse_other_numbers(str(path), sources["Za"], found.elements)
    has_references = set(found.isolated) == set(found.elements)
    # neutral atoms that give reference energies are in no part
    atoms_too = found.num_isolated > 0 and not has_references
    molecules = found.num_frames - (0 if atoms_too else found.num_isolated)
    labelled = Counter(found.labelled) + (Counter(found.labels_of_isolated) if atoms_too else Counter())
    length = likely_length(found.sample, sources["Ra"], stated)
    targets = [name for name in TARGETS if name in sources]
    draft = Draft(
        data_path=path.given,
        data_format=contents.data_format,
        sources=sources,
        unused=contents.unused,
        layout=known.name if known is not None else "",
        missing=_missing(found, sources, {name: (molecules - labelled[name], molecules) for name in targets}),
        dropped=contents.dropped,
        atomic_energy="isolated" if has_references else "fit",
        gradients=sign_of_forces(found.sample, sources["Fa"], known) if "Fa" in sources else None,
        num_frames=molecules,
        atoms_per_frame=float(found.sample.arrays["N"].mean()),
        weights=suggested_weights(found.sample, targets),
        weights_by_forces=weights_by_forces(found.sample, targets, length[0]),
        length=length,
        energy=likely_energy(found.sample, sources.get("E", ""), length[0], stated),
        charges_differ=len({*found.charges, *([0.0] if atoms_too else [])}) > 1,
        has_wires=found.has_wires,
        architecture=architecture,
        minutes=minutes,
    )
    warnings = [f"Warning: {text}" for text in _doubts(path, contents, length[0])]
    return draft.text(), [*draft.guesses(), *_isolated_atoms(found), *warnings]


def _missing(
    found: Survey, sources: Mapping[str, str], labels: dict[str, tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    """Return what frames lack, as a draft has it: of ``labels``, and of total charges, also of isolated atoms."""
    if "Q" in sources:
        without = found.num_frames - found.labelled["Q"] - found.labels_of_isolated["Q"]
        labels |= {"Q": (without, found.num_frames)}
    return {name: (few, all_frames) for name, (few, all_frames) in labels.items() if few}


def _doubts(path: DataPath, contents: Contents, bohr: float | None) -> Iterator[object]:
    """Yield what seems to be wrong with the files; ``bohr`` is one Bohr in the unit of the positions."""
    yield from contents.stated.doubts
    yield from check_conditions(path, contents.data_format, contents.sources, contents.unused)
    yield from check_elements(str(path), contents.sources["Za"], few_frames(contents.frames.sample), bohr)


def _isolated_atoms(found: Survey) -> list[str]:
    """Return a line on the isolated atoms among the frames, if there are any."""
    if not found.isolated:
        return []
    atoms = f"{found.num_isolated} of {found.num_frames} frames are isolated atoms"
    if missing := [chemical_symbols[Z] for Z in found.elements if Z not in found.isolated]:
        return [f"{atoms}, but none is {' or '.join(missing)}: reference energies are fitted to all frames"]
    return [f"{atoms}: reference energies, and in no part"]
