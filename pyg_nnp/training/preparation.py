"""Reference energies, training domain and outputs of a potential, set before it is trained."""

import logging
from typing import Any

from pyg_nnp.config import Config
from pyg_nnp.data import reference_energies
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.domain import training_domain
from pyg_nnp.training.settings import TrainingData

log = logging.getLogger(__name__)


def prepare_potential(potential: Potential, config: Config, name: str, data: TrainingData) -> None:
    """Set the reference energies and the training domain of a potential, and the outputs that are not trained.

    Args:
        potential: built from the configuration.
        config: the whole configuration.
        name: of the model.
        data: that it will be trained on.
    """
    dataset, training = data.dataset, data.parts["training"]
    references = reference_energies(dataset, config.Datahub.transforms, training)
    potential.set_references(references.atomic_energies, references.shift)
    potential.domain = training_domain(dataset, training)
    potential.spec["config"] = _own_config(config, name)
    potential.spec["untrained"] = _untrained(config, name, potential)


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
        unsure = [field for field in predicted if field not in trained and field not in left_out]
        if unsure:
            fields = " and ".join(unsure)
            log.warning(
                "%s: %s is no part of the loss: what the potential predicts for it is not trained.", name, fields
            )
    if "Qa" in left_out and "Q" not in trained | shown:
        left_out.append("Q")
    if left_out:
        log.info(
            "%s: %s will not be predicted: its layers could, but the loss has nothing to learn it from.",
            name,
            ", ".join(left_out),
        )
    return left_out
