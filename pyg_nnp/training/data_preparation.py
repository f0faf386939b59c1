"""What comes before a training: data read, split and checked; references, domain and outputs of a potential."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset, reference_energies, split_dataset
from pyg_nnp.diagnostics.all_checks import run_checks
from pyg_nnp.errors import ConfigError
from pyg_nnp.potential.description import TrainingDomain
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.state import TrainingData

log = logging.getLogger(__name__)

_SAMPLE = 10  # frames


def read_data(config: Config, out: Path, potentials: Mapping[str, Potential]) -> TrainingData:
    """Read the data of a configuration, split them, and say what seems to be wrong with them.

    Args:
        config: the configuration.
        out: folder that gets the processed data.
        potentials: name -> potential, of the models that are to be trained.

    Raises:
        ConfigError: something in the configuration is not right.
        DataError: something in the data is not right.
    """
    try:
        dataset = MoleculeDataset.from_config(config, out)
        data = _split(config, dataset)
    except ConfigError as error:
        raise ConfigError(f"{config.source}: {error}") from error
    run_checks(config, dataset, data.parts, potentials)
    return data


def reopen_data(config: Config, store: Path) -> TrainingData:
    """Return the data of a training from their store alone, since the data file may be gone or changed.

    Raises:
        DataError: the store is damaged.
    """
    dtype, in_memory = getattr(torch, config.Trainer.dtype), config.Datahub.in_memory
    return _split(config, MoleculeDataset(store, dtype, in_memory=in_memory))


def _split(config: Config, dataset: MoleculeDataset) -> TrainingData:
    parts = split_dataset(config.Trainer.Splitter, len(dataset), dataset.hash, dataset.folder)
    return TrainingData(dataset, parts)


def prepare_potential(potential: Potential, config: Config, name: str, data: TrainingData) -> None:
    """Set the reference energies and the domain of a potential, and the outputs that are not trained."""
    training, summary = data.parts["training"], data.dataset.summary
    references = reference_energies(data.dataset, config.Datahub.transforms, training)
    potential.set_references(references.atomic_energies, references.shift)
    potential.domain = TrainingDomain(
        elements=tuple(summary.elements.tolist()),
        charges=tuple(summary.charges),
        compositions=tuple(summary.compositions),
        shortest_distances=summary.shortest_distances(training),
        fingerprint=summary.fingerprint,
    )
    potential.spec["config"] = _own_config(config, name)
    potential.spec["untrained"] = _untrained(config, name, potential)


def initialise_potential(potential: Potential, config: Config, name: str, data: TrainingData) -> None:
    """Let a potential suit its parameters to some frames of the training part, but one that was trained before."""
    if config.Modelhub.internal_FFs[name].pretrained is None:
        training = data.parts["training"]
        # from all of the part
        sample = training[torch.linspace(0, len(training) - 1, min(len(training), _SAMPLE)).long()]  # (n,)
        potential.train().initialise(data.dataset.batch(sample).to(potential.device))


def _own_config(config: Config, name: str) -> dict[str, Any]:
    """Return the configuration of one model, which is saved with it; whether it was resumed does not belong to it."""
    document = config.model_dump(mode="json")
    document["Modelhub"]["internal_FFs"] = {name: document["Modelhub"]["internal_FFs"][name]}
    del document["Trainer"]["resume"]
    return document


def _untrained(config: Config, name: str, potential: Potential) -> list[str]:
    """Return the predictions that nothing teaches, which the saved potential leaves out, and log them.

    Forces teach something of energies and energies of forces, dipoles of charges and charges of dipoles.
    """
    trained = {field for of in config.Modelhub.internal_FFs[name].loss.values() for field, w in of.items() if w > 0}
    shown = {field for of in config.Metrics.values() for field in of}
    left_out: list[str] = []
    for together in (("E", "Fa"), ("Qa", "M2")):
        predicted = [field for field in together if field in potential.outputs]
        if trained.isdisjoint(together):
            left_out += [field for field in predicted if field not in shown]
        unsure = " and ".join(field for field in predicted if field not in trained and field not in left_out)
        if unsure:
            text = "%s: %s is no part of the loss: what the potential predicts for it is not trained."
            log.warning(text, name, unsure)
    if "Qa" in left_out and "Q" not in trained | shown:
        left_out.append("Q")
    if left_out:
        text = "%s: %s will not be predicted: its layers could, but the loss has nothing to learn it from."
        log.info(text, name, ", ".join(left_out))
    return left_out
