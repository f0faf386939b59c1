"""Units that the data file states, and that a configuration should have."""

from collections.abc import Iterable
from pathlib import Path

from pyg_nnp.config import Config
from pyg_nnp.data.formats.stated_units import stated_units
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.units import OPTIONS

_SAME_UNIT = 0.01  # no two units are nearer


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
