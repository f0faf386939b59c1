"""The errors of a potential."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.config import Config, Weights
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.fields import FIELDS
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.predictor import large_batch
from pyg_nnp.training.metrics import COUNT, Errors, MetricSums, weighted_sum
from pyg_nnp.training.sharing import share_of_part
from pyg_nnp.training.state import TrainingData

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
    potential: Potential, dataset: MoleculeDataset, frames: Tensor, at_least: int, *sums: MetricSums
) -> None:
    """Add the errors of a potential over some frames, in large batches of at least ``at_least`` frames.

    Several processes share the frames; the sums must be new, and are then those of all of them.
    """
    own = share_of_part(dataset, potential, frames)
    add_errors(potential, dataset.batches(own, large_batch(dataset.max_atoms, at_least)), *sums)
    for each in sums:
        each.combine()


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
