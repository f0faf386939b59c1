"""What the parts of a split lack: a role, elements, frames for a batch, labels."""

from collections.abc import Iterable, Iterator, Mapping

from ase.data import chemical_symbols
from torch import Tensor

from pyg_nnp.config import Config, fields_of
from pyg_nnp.data.labels import has_labels
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.errors import ConfigError, DataError, did_you_mean
from pyg_nnp.fields import FIELDS


def check_parts(
    config: Config, summary: DatasetSummary, parts: Mapping[str, Tensor], models: Iterable[str]
) -> Iterator[Finding]:
    """Look for what the parts of a split lack; ``parts`` are part -> (n,) its frames, ``models`` names."""
    yield from _check_roles(parts)
    yield from _check_training_part(config, summary, parts["training"])
    yield from check_labels(config, summary, parts, models)


def _check_roles(parts: Mapping[str, Tensor]) -> list[Finding]:
    """Look for names of parts that may be misspelt."""
    findings = []
    roles = ("validation", "test")
    for part in parts:
        near = did_you_mean(part, [role for role in roles if role not in parts])
        if near and part not in (*roles, "training"):
            findings.append(Finding("part without role", None, f"Part '{part}' has no role in training.", near.strip()))
    if "validation" not in parts:
        text = "No part is called 'validation': nothing stops early, and the last potential is the best."
        findings.append(Finding("no validation part", None, text))
    return findings


def _check_training_part(config: Config, summary: DatasetSummary, training: Tensor) -> list[Finding]:
    """Look for elements that nothing is learned of, and for too large a batch."""
    findings, frames, batch_size = [], len(training), config.Trainer.batch_size
    if missing := set(summary.elements.tolist()) - set(summary.elements_in(training)):
        names = ", ".join(chemical_symbols[Z] for Z in sorted(missing))
        text, advice, error = f"No frame of the training part has {names}: predictions with it mean nothing.", "", None
        if config.Datahub.transforms.atomic_energy == "fit":  # which would refuse it
            advice = "Enlarge the training part, change Splitter.seed, or give atomic_energy a CSV file."
            error = DataError
        findings.append(Finding("elements without training", "Za", text, advice, error=error))
    if batch_size > frames:
        place = f"{config.source}: Trainer.batch_size"
        text = f"{place}: {batch_size} is more than the {frames} frames of the training part."
        findings.append(Finding("batch size", None, text, f"Choose at most {frames}.", error=ConfigError))
    return findings


def check_labels(
    config: Config, summary: DatasetSummary, parts: Mapping[str, Tensor], models: Iterable[str]
) -> list[Finding]:
    """Look for parts without a single label of a field that loss or metrics need there.

    Returns:
        An error for the training and the validation part, without which there is no loss or no score, a warning for the
        test part.
    """
    losses = [model.loss for name, model in config.Modelhub.internal_FFs.items() if name in models]
    of_loss = {name for loss in losses for fields in loss.values() for name in fields}
    shown = {name for fields in config.Metrics.values() for name in fields}
    needed = {"training": {name for loss in losses for name in fields_of(loss)}}
    needed |= {"validation": shown | of_loss, "test": shown}
    findings = []
    for part, names in needed.items():
        for name in sorted(names) if part in parts else []:
            has, weighted = has_labels(summary, name), ""
            if part != "test" and len(summary.weight):
                has, weighted = has & (summary.weight > 0), " and a weight above 0"
            if not has[parts[part].numpy()].any():
                text = f"No frame of the {part} part has '{name}' ({FIELDS[name].short_meaning}){weighted}."
                advice = f"Enlarge this part, change Splitter.seed, or take {name} out of loss and Metrics."
                error = None if part == "test" else DataError
                findings.append(Finding("part without labels", name, text, advice, error=error))
    return findings
