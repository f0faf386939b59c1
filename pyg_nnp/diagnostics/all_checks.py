"""All checks of data, split and models, in their order."""

import logging
from collections.abc import Mapping

import numpy as np
from ase.data import chemical_symbols
from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.source import DataSource
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.field_checks import examine
from pyg_nnp.diagnostics.finding import Finding, report
from pyg_nnp.diagnostics.labels import check_labels
from pyg_nnp.diagnostics.model import (
    check_cutoff,
    check_energy_unit,
    check_largest_element,
    check_length_unit,
)
from pyg_nnp.diagnostics.sample import frames_with, small_sample
from pyg_nnp.diagnostics.stated_units import check_stated_units
from pyg_nnp.diagnostics.unread import check_unread
from pyg_nnp.diagnostics.unread_features import check_unread_features
from pyg_nnp.errors import ConfigError, DataError, did_you_mean
from pyg_nnp.potential.potential import Potential

log = logging.getLogger(__name__)


def run_checks(
    config: Config, dataset: MoleculeDataset, parts: Mapping[str, Tensor], potentials: Mapping[str, Potential]
) -> None:
    """Log the table of a data set and all findings on data, split and models.

    Args:
        config: the configuration.
        dataset: its data set.
        parts: part -> (n,) its frames.
        potentials: name -> potential, of the models that are to be trained.

    Raises:
        UserError: something in the configuration or the data cannot be right.
    """
    sample = small_sample(dataset)
    report(check_stated_units(config, potentials))
    # before forces are checked, which with positions in a wrong unit look wrong themselves
    for name in potentials:
        report(check_length_unit(config, name, sample))
    table, findings = examine(config, dataset, parts)
    log.info("Data set: %s", table)
    report(findings)
    report(check_unread(DataSource(config.Datahub.data_path, dataset.sources), dataset))
    report(_check_roles(parts))
    report(_check_training_part(config, dataset.summary, parts["training"]))
    report(check_labels(config, dataset.summary, parts, potentials))
    report(_check_references(config, dataset))
    labelled = frames_with(dataset.summary, [name for name in ("Fa", "E") if name in dataset.fields][:1])
    of_labels = small_sample(dataset, labelled) if len(labelled) else None
    for name, potential in potentials.items():
        report(check_largest_element(config, name, potential, int(dataset.summary.elements.max())))
        report(check_energy_unit(config, name, of_labels) if of_labels is not None else [])
        report(check_cutoff(config, name, potential, sample))
        report(check_unread_features(config, name, potential, dataset))


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
        text = f"No frame of the training part has {names}: predictions for molecules with it mean nothing."
        findings.append(Finding("elements without training", "Za", text))
    if batch_size > frames:
        place = f"{config.source}: Trainer.batch_size"
        text = f"{place}: {batch_size} is more than the {frames} frames of the training part."
        findings.append(Finding("batch size", None, text, f"Choose at most {frames}.", error=ConfigError))
    return findings


def _check_references(config: Config, dataset: MoleculeDataset) -> list[Finding]:
    """Compare what remains of the energies without the reference energies with the energies themselves."""
    if not dataset.atomic_energies or "E" not in dataset.fields:
        return []
    summary = dataset.summary
    references = np.array([dataset.atomic_energies.get(Z, 0.0) for Z in dataset.elements])
    total, rest = float(np.nanmean(summary.E)), float(np.nanmean(summary.E - summary.counts @ references))
    file, numbers = config.Datahub.transforms.atomic_energy, {"mean energy": total, "mean rest": rest}
    # with some pseudopotentials little remains of atoms, but never more than the total
    if abs(rest) > 1.5 * abs(total):
        text = f"{file}: the energies of the data are {total:.6g} on average, without these atomic energies {rest:.6g}."
        same = f"in the unit and with the sign of '{dataset.sources['E']}', from the same method"
        advice, error = f"Give the atomic energies {same}.", DataError
        return [Finding("reference energies", "E", text, advice, numbers=numbers, error=error)]
    if abs(rest) > 0.9 * abs(total):
        text = f"{file}: these atomic energies are hardly a part of E ({total - rest:.6g} of {total:.6g})."
        return [Finding("reference energies", "E", text, "Is it the same unit?", numbers=numbers)]
    return []
