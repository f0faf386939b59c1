"""Whether a model reads the features that vary in its data."""

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.source import DataSource
from pyg_nnp.diagnostics.finding import Finding, field_finding
from pyg_nnp.fields import FEATURES
from pyg_nnp.potential.potential import Potential

# what makes a model read a feature; the number of atoms follows from the atoms themselves
_TO_READ = {
    "Ra": "Add the layers RangeSeparation and GaussianSmearing before Core.",
    "Za": "Add the layer RandomAtomEmbedding before Core.",
    "Q": "Add the layer ChargeEmbedding before Core, or leave out the frames of other charges.",
}


def check_unread_features(config: Config, name: str, potential: Potential, dataset: MoleculeDataset) -> list[Finding]:
    """Warn of features that vary in the data, but make no difference to a label in the loss of model ``name``."""
    weights = config.Modelhub.internal_FFs[name].loss.values()
    in_loss = {field for of_field in weights for field in of_field}
    source, findings = DataSource(config.Datahub.data_path, dataset.sources), []
    for feature in (feature for feature in FEATURES if feature in _TO_READ):
        low, high, _ = dataset.summary.ranges[feature]
        blind = ", ".join(label for label in potential.blind_to(feature) if label in in_loss)
        if low == high or not blind:
            continue
        found = (
            f"goes from {low:g} to {high:g}, but makes no difference to what {name} predicts for {blind}: no "
            f"layer that they come from reads {feature}."
        )
        numbers = {"minimum": low, "maximum": high}
        findings.append(field_finding(source, "unread feature", feature, found, _TO_READ[feature], None, **numbers))
    return findings
