"""What the data file says and the configuration does not have: its units, labels, and other total charges."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.formats.guess import guess_fields
from pyg_nnp.data.formats.readers import read_blocks
from pyg_nnp.data.formats.stated_units import stated_units
from pyg_nnp.data.source import DataSource
from pyg_nnp.data.total_charge import charge_arrays
from pyg_nnp.diagnostics.finding import Finding, field_finding
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS, TARGETS
from pyg_nnp.units import OPTIONS

log = logging.getLogger(__name__)

_SAME_UNIT = 0.01  # no two units are nearer
_TOGETHER = {"E": "Fa", "Fa": "E"}
"""Labels of which hardly anybody leaves one out that the data have."""


def check_stated_units(config: Config, names: Iterable[str]) -> list[Finding]:
    """Compare the units of some models with those that the data file states; warnings where they differ.

    What the file says of units and is not understood, or does not go together, is a warning, too.
    """
    hub = config.Datahub
    stated = stated_units(Path(hub.data_path), hub.data_format, {**hub.features, **hub.targets})
    findings = [Finding("stated units", None, f"{hub.data_path}: {doubt}.") for doubt in stated.doubts]
    theirs = stated.units.options
    for name in names:
        units = config.Modelhub.internal_FFs[name].units
        for option, kind, field in zip(OPTIONS, ("energy", "length"), ("E", "Ra"), strict=True):
            ours = units.options.get(option)
            if ours is None or option not in theirs or abs(theirs[option] / ours - 1) <= _SAME_UNIT:
                continue
            text = (
                f"{config.source}: Modelhub.{name}.build_params.{option}: {ours:g} means {units.names[kind]}, but "
                f"{hub.data_path} is in {stated.units.names[kind]}, {stated.said[kind]}."
            )
            advice = f"Set it to {theirs[option]:.9g}, unless what the file says is wrong."
            findings.append(Finding("stated units", field, text, advice, numbers={"stated": theirs[option]}))
    return findings


def check_unread(config: Config, dataset: MoleculeDataset) -> list[Finding]:
    """Look for names of labels that nothing is read from: a warning for energies or forces alone, else a line."""
    file, molecules, findings = config.Datahub.data_path, len(dataset.molecules), []
    for name, unread in _unread_labels(dataset.sources, dataset).items():
        frames = dataset.info.columns[unread].frames
        if frames is not None and 2 * frames < molecules:
            continue
        has = "" if frames is None else f" in {frames} of {len(dataset)} frames"
        text = f"{file}: '{unread}'{has} looks like {name} ({FIELDS[name].short_meaning}), and is not read."
        if _TOGETHER.get(name) in dataset.sources:
            advice = f"Add '{name}: {unread}' to Datahub.targets, and {name} to the loss and to Metrics."
            findings.append(Finding("unread labels", name, text, advice))
        else:
            log.info("%s", text)
    return findings


def check_other_charges(config: Config, dataset: MoleculeDataset) -> list[Finding]:
    """Compare the total charges with those that the file has under another usual name; warnings where they differ."""
    hub, sources, findings = config.Datahub, dataset.sources, []
    source = DataSource(hub.data_path, sources)
    names = charge_arrays(dataset.info.columns, sources["Ra"]) if "Q" in sources else []
    for name in (name for name in names if name not in sources.values()):
        mapping = {field: sources[field] for field in ("N", "Ra", "Za") if field in sources} | {"Q": name}
        # what cannot be read is another quantity
        with suppress(DataError):
            blocks = read_blocks(Path(hub.data_path), hub.data_format, mapping, optional=["Q"])
            other = np.concatenate([block.arrays["Q"] for block in blocks])
            frames = np.flatnonzero(np.isfinite(other) & (other != dataset.summary.Q))
            if len(frames):
                found = f"is {dataset.summary.Q[frames[0]]:g}, but '{name}' is {other[frames[0]]:g}."
                advice = "Read the one that is right, and remove or rename the other."
                findings.append(field_finding(source, "two total charges", "Q", found, advice, frames))
    return findings


def _unread_labels(sources: Mapping[str, str], dataset: MoleculeDataset) -> dict[str, str]:
    guessed = guess_fields(dataset.info.columns, by_shape=False)
    read = {*sources.values()}
    return {name: guessed[name] for name in TARGETS if name not in sources and guessed.get(name, "") not in {"", *read}}
