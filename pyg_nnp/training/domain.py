"""The training domain of a potential, from the data that it is trained on."""

from torch import Tensor

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.potential.description import TrainingDomain


def training_domain(dataset: MoleculeDataset, training: Tensor) -> TrainingDomain:
    """Return what a potential is trained on.

    Args:
        dataset: the whole data set.
        training: (n,) frames of the training part, which the shortest distances are of.
    """
    summary = dataset.summary
    return TrainingDomain(
        elements=tuple(summary.elements.tolist()),
        charges=tuple(summary.charges),
        compositions=tuple(summary.compositions),
        shortest_distances=summary.shortest_distances(training),
        fingerprint=summary.fingerprint,
    )
