"""What a potential gets to know of its data before a training: references, domain, outputs that are not trained."""

import logging
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from pyg_nnp.config import Config, fields_of
from pyg_nnp.data import reference_energies
from pyg_nnp.data.charge_energies import energies_of_charges
from pyg_nnp.layers import ChargeEmbedding, Layer
from pyg_nnp.potential.description import TrainingDomain
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.wiring import blind_to
from pyg_nnp.training.state import TrainingData

log = logging.getLogger(__name__)


def prepare_potential(potential: Potential, config: Config, name: str, data: TrainingData) -> None:
    """Set the reference energies and the domain of a potential, and the outputs that are not trained."""
    training, summary, molecules = data.parts["training"], data.dataset.summary, data.dataset.molecules
    of_charges = _start_energies_of_charges(potential, data)
    references = reference_energies(data.dataset, config.Datahub.transforms, training, of_charges)
    potential.set_references(references.atomic_energies, references.shift)
    potential.spec["config"] = _own_config(config, name)
    potential.spec["untrained"] = _untrained(config, name, potential)
    potential.domain = TrainingDomain(
        elements=tuple(summary.elements.tolist()),
        charges=tuple(summary.charges_in(molecules)),
        compositions=tuple(summary.compositions_in(molecules)),
        shortest_distances=summary.shortest_distances(training),
        fingerprint=summary.fingerprint,
        blind_to_charge=blind_to("Q", potential.layers, potential.outputs),
    )


def _start_energies_of_charges(potential: Potential, data: TrainingData) -> NDArray[Any]:
    """Let a layer that has energies of charges begin with fitted ones, and return these, (2,); else zeros."""
    is_used = any("Ea_charge" in cast(Layer, layer).reads for layer in potential.layers)
    for layer in potential.layers:
        if isinstance(layer, ChargeEmbedding) and is_used:
            energies = energies_of_charges(data.dataset, data.parts["training"])
            layer.start_with(torch.from_numpy(energies))
            return energies
    return np.zeros(2)


def _own_config(config: Config, name: str) -> dict[str, Any]:
    """Return the configuration of one model, which is saved with it; whether it was resumed does not belong to it."""
    document = config.model_dump(mode="json")
    document["Modelhub"]["internal_FFs"] = {name: document["Modelhub"]["internal_FFs"][name]}
    del document["Trainer"]["resume"]
    return document


def _untrained(config: Config, name: str, potential: Potential) -> list[str]:
    """Return the predictions that nothing teaches, which the saved potential leaves out, and log them.

    Forces and stress teach something of energies and energies of these, dipoles of charges and charges of dipoles.
    """
    trained = set(fields_of(config.Modelhub.internal_FFs[name].loss))
    shown = {field for of in config.Metrics.values() for field in of}
    left_out: list[str] = []
    for together in (("E", "Fa", "S"), ("Qa", "M2")):
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
