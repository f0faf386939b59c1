"""The errors of a potential."""

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.config import Config, Weights
from pyg_nnp.errors import TrainingError
from pyg_nnp.fields import FIELDS
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.predictor import large_batch
from pyg_nnp.training.metrics import COUNT, Errors, MetricSums, weighted_sum
from pyg_nnp.training.records import Epoch
from pyg_nnp.training.sharing import share_of_part
from pyg_nnp.training.state import TrainingData, TrainingSettings, TrainingState

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

log = logging.getLogger(__name__)


def evaluate(potential: Potential, batches: Iterable[Batch], *weights: Weights) -> Errors:
    """Return the errors of a potential over all batches together, however they are cut.

    Args:
        potential: is left in the mode it was in.
        batches: with true values, on any device; where labels are missing (NaN), errors are of those that are there.
        weights: the kinds and fields that these have are computed.

    Returns:
        kind of error -> field -> value, in the units of the data; NaN where there is no label.
    """
    sums = MetricSums(potential.device, *weights)
    add_errors(potential, batches, sums)
    return sums.errors()


def add_errors(potential: Potential, batches: Iterable[Batch], *sums: MetricSums) -> None:
    """Add the errors of a potential over batches on any device to sums; the potential is left in its mode."""
    device, training = potential.device, potential.training
    potential.eval()
    try:
        for batch in batches:
            batch = batch.to(device)
            predicted = potential(batch)
            for each in sums:
                each.update(predicted, batch)
    finally:
        potential.train(training)


def add_frames(
    potential: Potential, dataset: "MoleculeDataset", frames: Tensor, at_least: int, *sums: MetricSums
) -> None:
    """Add the errors of a potential over some frames, in large batches of at least ``at_least`` frames.

    Several processes share the frames; the sums must be new, and are then those of all of them.
    """
    own = share_of_part(dataset, potential, frames)
    add_errors(potential, dataset.batches(own, large_batch(dataset.max_atoms, at_least)), *sums)
    for each in sums:
        each.combine()


def validated(
    epoch: Epoch, state: TrainingState, data: TrainingData, settings: TrainingSettings, progress: float
) -> Epoch:
    """Return an epoch with its errors on the validation part, if there is one.

    ``progress`` is the fraction of the training that is over.

    Raises:
        TrainingError: there is none, and the loss of a batch of the training part is not finite.
    """
    batch_size, potential, loss = settings.trainer.batch_size, state.potential, settings.loss
    sums = [MetricSums(potential.device, loss, settings.metrics)]
    if "validation" not in data.parts:
        # one batch shows whether the last step, which no loss has seen, went wrong
        add_frames(potential, data.dataset, data.parts["training"][:batch_size], batch_size, *sums)
        if not sums[0].are_finite():
            raise TrainingError(
                f"epoch {epoch.number}: after its last step the loss is not finite. Choose a smaller "
                "learning_rate, and look for outliers in the data."
            )
        return epoch
    if "weight" in data.dataset.fields:
        # in the loss frames have weights, in the metrics they have not
        sums.append(MetricSums(potential.device, loss, weighted=True))
    add_frames(potential, data.dataset, data.parts["validation"], batch_size, *sums)
    validation_loss = weighted_sum(sums[-1].errors(), loss, progress)
    return epoch.validated(sums[0].errors(), validation_loss, settings.metrics)


def final_metrics(
    config: Config, name: str, potential: Potential, data: TrainingData, known: Mapping[str, MetricSums]
) -> dict[str, dict[str, Any]]:
    """Return the errors on validation and test part, with their score and the number of labels, and log them.

    ``known`` has the sums of parts that were evaluated already.
    """
    results: dict[str, dict[str, Any]] = {}
    for part in ("validation", "test"):
        if part not in data.parts:
            continue
        sums = known.get(part)
        if sums is None:
            sums = MetricSums(potential.device, config.Metrics)
            add_frames(potential, data.dataset, data.parts[part], config.Trainer.batch_size, sums)
        errors = sums.errors()
        results[part] = errors | {"score": weighted_sum(errors, config.Metrics), COUNT: sums.counts()}
        for kind, of_kind in errors.items():
            log.info("%s: %s part: %s: %s", name, part, kind.upper(), _text(of_kind, kind, potential.units.names))
    return results


def _text(errors: Mapping[str, float], kind: str, units: Mapping[str, str]) -> str:
    words = []
    for field, value in errors.items():
        unit = units[FIELDS[field].unit]
        words.append(f"{field} {value:.4g} {f'({unit})²' if kind == 'mse' and unit else unit}".rstrip())
    return ", ".join(words)
