"""Whether the parts of the split are what a training needs."""

from collections.abc import Mapping

from ase.data import chemical_symbols
from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.errors import ConfigError, did_you_mean


def check_parts(config: Config, summary: DatasetSummary, parts: Mapping[str, Tensor]) -> tuple[Finding, ...]:
    """Look for names of parts that may be misspelt, elements that nothing is learned of, and too large a batch.

    Args:
        config: the configuration.
        summary: of the whole data set.
        parts: part -> (n,) its frames.
    """
    return (*_roles(parts), *_elements(summary, parts["training"]), *_batch_size(config, parts["training"]))


def _roles(parts: Mapping[str, Tensor]) -> list[Finding]:
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


def _elements(summary: DatasetSummary, training: Tensor) -> list[Finding]:
    missing = set(summary.elements.tolist()) - set(summary.elements_in(training))
    if not missing:
        return []
    names = ", ".join(chemical_symbols[Z] for Z in sorted(missing))
    text = f"No frame of the training part has {names}: predictions for molecules with it mean nothing."
    return [Finding("elements without training", "Za", text)]


def _batch_size(config: Config, training: Tensor) -> list[Finding]:
    frames, batch_size = len(training), config.Trainer.batch_size
    if batch_size <= frames:
        return []
    text = f"{config.source}: Trainer.batch_size: {batch_size} is more than the {frames} frames of the training part."
    return [Finding("batch size", None, text, f"Choose at most {frames}.", error=ConfigError)]
