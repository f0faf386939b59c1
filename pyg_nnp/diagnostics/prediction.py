"""What a potential predicts of the data: whether its layers fit together, and the features that it does not read."""

from typing import TYPE_CHECKING

import torch

from pyg_nnp.config import Config
from pyg_nnp.diagnostics.finding import Finding, field_finding
from pyg_nnp.errors import FieldError
from pyg_nnp.fields import FEATURES, INPUTS
from pyg_nnp.functional.difference import difference
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.wiring import blind_to

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

# what makes a model read a feature; the number of atoms follows from the atoms themselves
_TO_READ = {
    "Ra": "Add the layers RangeSeparation and GaussianSmearing before Core.",
    "Za": "Add the layer RandomAtomEmbedding before Core.",
    "Q": "Add the layer ChargeEmbedding before Core, or leave out the frames of other charges.",
}


def check_prediction(config: Config, name: str, potential: Potential, dataset: "MoleculeDataset") -> None:
    """Let a potential predict two frames, so that layers that do not fit together show before training.

    Errors of users' own layers pass unchanged, for their traceback.

    Raises:
        FieldError: the layers do not fit together, change their input, or predict fields in another shape.
    """
    batch = dataset.batch(torch.arange(min(2, len(dataset))))
    given = {field: batch[field].clone() for field in INPUTS if field in batch}
    place = f"{config.source}: Modelhub.{name}.layers"
    try:
        predicted = potential.eval()(batch)
        for weights in (config.Modelhub.internal_FFs[name].loss, config.Metrics):
            for field in {field for of_field in weights.values() for field in of_field}:
                difference(predicted, batch, field)
    except FieldError as error:
        raise FieldError(f"{place}: {error}") from error
    except RuntimeError as error:
        if any(not type(layer).__module__.startswith("pyg_nnp.") for layer in potential.layers):
            raise
        raise FieldError(
            f"{place}: the layers do not fit together: {error}. "
            "Options that layers share, such as num_rbf and dim_embedding, have one value; give them in build_params."
        ) from error
    for field, value in given.items():
        if not torch.equal(batch[field], value):
            raise FieldError(f"{place}: one of the layers changes '{field}' in place. Let it return a new tensor.")


def check_unread_features(config: Config, name: str, potential: Potential, dataset: "MoleculeDataset") -> list[Finding]:
    """Warn of features that vary in the data, but make no difference to a label in the loss of model ``name``."""
    weights = config.Modelhub.internal_FFs[name].loss.values()
    in_loss = {field for of_field in weights for field in of_field}
    source, findings = dataset.source, []
    for feature in (feature for feature in FEATURES if feature in _TO_READ):
        low, high, _ = dataset.summary.ranges[feature]
        if feature == "Q":
            # isolated atoms that give reference energies are neutral, whatever the molecules are
            low, *_, high = (charges := dataset.summary.charges_in(dataset.molecules)) + charges[-1:]
        blind = ", ".join(
            blind_to(feature, potential.layers, [label for label in potential.outputs if label in in_loss])
        )
        if low == high or not blind:
            continue
        found = (
            f"goes from {low:g} to {high:g}, but makes no difference to what {name} predicts for {blind}: no "
            f"layer that they come from reads {feature}."
        )
        numbers = {"minimum": low, "maximum": high}
        findings.append(field_finding(source, "unread feature", feature, found, _TO_READ[feature], None, **numbers))
    return findings
