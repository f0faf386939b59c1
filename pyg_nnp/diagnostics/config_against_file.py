"""What the data file says and the configuration does not have: its units, and labels of most of its frames."""

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pyg_nnp.config import Config
from pyg_nnp.data.formats.guess import guess_fields, unlike_labels
from pyg_nnp.data.formats.stated_units import stated_units
from pyg_nnp.diagnostics.conditions import check_conditions
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.diagnostics.other_charges import check_other_charges
from pyg_nnp.diagnostics.other_labels import check_other_labels
from pyg_nnp.fields import FIELDS, TARGETS
from pyg_nnp.units import OPTIONS

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

log = logging.getLogger(__name__)

_SAME_UNIT = 0.01  # no two units are nearer
_TOGETHER = {"E": "Fa", "Fa": "E"}
"""Labels of which hardly anybody leaves one out that the data have."""


def check_stated_units(config: Config, names: Iterable[str]) -> list[Finding]:
    """Compare the units of some models with those that the data file states; warnings where they differ.

    What the file says of units and is not understood, or does not go together, is a warning, too.
    """
    hub = config.Datahub
    stated = stated_units(hub.path, hub.data_format, {**hub.features, **hub.targets})
    findings = [Finding("stated units", None, f"{hub.path}: {doubt}.") for doubt in stated.doubts]
    theirs = stated.units.options
    for name in names:
        units = config.Modelhub.internal_FFs[name].units
        for option, kind, field in zip(OPTIONS, ("energy", "length"), ("E", "Ra"), strict=True):
            ours = units.options.get(option)
            if ours is None or option not in theirs or abs(theirs[option] / ours - 1) <= _SAME_UNIT:
                continue
            text = (
                f"{config.source}: Modelhub.{name}.build_params.{option}: {ours:g} means {units.names[kind]}, but "
                f"{hub.path} is in {stated.units.names[kind]}, {stated.said[kind]}."
            )
            advice = f"Set it to {theirs[option]:.9g}, unless what the file says is wrong."
            findings.append(Finding("stated units", field, text, advice, numbers={"stated": theirs[option]}))
    return findings


def check_unread(config: Config, dataset: "MoleculeDataset") -> list[Finding]:
    """Look for names that nothing is read from: warnings of energies or forces alone, of other charges, of spins."""
    file, molecules, findings = config.Datahub.path, len(dataset.molecules), []
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
    conditions = check_conditions(file, config.Datahub.data_format, dataset.sources, dataset.info.columns)
    return [*findings, *check_other_labels(config, dataset), *check_other_charges(config, dataset), *conditions]


def _unread_labels(sources: Mapping[str, str], dataset: "MoleculeDataset") -> dict[str, str]:
    columns = dataset.info.columns
    guessed = guess_fields(columns, by_shape=False)
    guessed |= unlike_labels(columns, {**guessed, **sources})
    read = {*sources.values()}
    return {name: guessed[name] for name in TARGETS if name not in sources and guessed.get(name, "") not in {"", *read}}
