"""The errors of a potential over frames of a data set."""

from torch import Tensor

from pyg_nnp.config import Weights
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.predictor import large_batch
from pyg_nnp.training.metrics import Errors, evaluate


def evaluate_frames(
    potential: Potential, dataset: MoleculeDataset, frames: Tensor, at_least: int, *weights: Weights
) -> Errors:
    """Return the errors of a potential over some frames, in large batches of at least ``at_least`` frames."""
    device = potential.device
    batches = dataset.batches(frames, large_batch(dataset.max_atoms, at_least))
    return evaluate(potential, (batch.to(device) for batch in batches), *weights)
