"""A configuration to begin with, for a data file: ``pyg-nnp init``."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from pyg_nnp.commands.options import mapping_of
from pyg_nnp.config.template import Draft
from pyg_nnp.data.formats.readers import columns_of, format_of, guess_fields, is_gradient, read_blocks
from pyg_nnp.diagnostics.guesses import likely_energy, likely_length, suggested_weights
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FEATURES, FIELDS, TARGETS
from pyg_nnp.runtime.files import write_durably


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp init``."""
    text, guesses = first_config(options.data, mapping_of(options.map))
    write_durably(options.out, [text.encode()])
    print(f"{options.data} seems to have:", *guesses, sep="\n  ")
    print(f"{options.out}: look at what is marked with CHECK, then: pyg-nnp check {options.out}")
    return 0


def first_config(path: Path, mapping: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return a commented configuration for a data file, and lines that say what was guessed.

    Args:
        path: the file.
        mapping: standard name -> name in the file, where the user knows better than names and shapes.

    Raises:
        DataError: the file cannot be read, or has no positions, elements or labels that could be recognised.
    """
    columns = columns_of(path)
    guessed = guess_fields(columns)
    fields = {**{name: source for name, source in guessed.items() if source not in mapping.values()}, **mapping}
    shown = ", ".join(f"{name} {shape}" for name, (shape, _) in columns.items())
    for name in ("Ra", "Za"):
        if name not in fields:
            what = FIELDS[name].meaning
            raise DataError(f"{path}: none of these look like {what}: {shown}. Say which: --map {name}=NAME.")
    targets = [name for name in TARGETS if name in fields]
    if not targets:
        raise DataError(f"{path}: none of these look like labels: {shown}. Say which, such as --map E=NAME.")
    data_format = format_of(path) or ""
    sources = {name: fields[name] for name in (*FEATURES, *TARGETS) if name in fields}
    block = next(read_blocks(path, data_format, sources))
    length = likely_length(block, sources["Ra"])
    draft = Draft(
        data_path=str(path),
        data_format=data_format,
        sources=sources,
        unused=[name for name in columns if name not in fields.values()],
        has_gradients=is_gradient(sources.get("Fa", "")),
        weights=suggested_weights(block, targets),
        length=length,
        energy=likely_energy(block, sources.get("E", ""), length[0]),
        charges_differ=_charges_differ(path, data_format, sources),
    )
    return draft.text(), draft.guesses()


def _charges_differ(path: Path, data_format: str, sources: Mapping[str, str]) -> bool:
    """Return whether frames of a file have different total charges."""
    if "Q" not in sources:
        return False
    structures = {name: sources[name] for name in FEATURES if name in sources}
    found: set[float] = set()
    for block in read_blocks(path, data_format, structures):
        found.update(block.arrays["Q"].tolist())
        if len(found) > 1:
            return True
    return False
