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
from pyg_nnp.training.metrics import Errors, MetricSums, weighted_sum
from pyg_nnp.training.state import TrainingData

log = logging.getLogger(__name__)


def evaluate(potential: Potential, batches: Iterable[Batch], *weights: Weights) -> Errors:
    """Return the errors of a potential over all batches together, however they are cut.

    Args:
        potential: is left in the mode it was in.
        batches: with true values, on any device.
        weights: the kinds and fields that these have are computed.

    Returns:
        kind of error -> field -> value, in the units of the data.
    """
    device, training = potential.device, potential.training
    sums = MetricSums(device, *weights)
    potential.eval()
    try:
        for batch in batches:
            batch = batch.to(device)
            sums.update(potential(batch), batch)
    finally:
        potential.train(training)
    return sums.errors()


def evaluate_frames(
    potential: Potential, dataset: MoleculeDataset, frames: Tensor, at_least: int, *weights: Weights
) -> Errors:
    """Return the errors of a potential over some frames, in large batches of at least ``at_least`` frames."""
    return evaluate(potential, dataset.batches(frames, large_batch(dataset.max_atoms, at_least)), *weights)


def final_metrics(
    config: Config, name: str, potential: Potential, data: TrainingData, known: Mapping[str, Errors]
) -> dict[str, dict[str, Any]]:
    """Return the errors on validation and test part, with their score, and log them; ``known`` has those of parts."""
    results: dict[str, dict[str, Any]] = {}
    for part in ("validation", "test"):
        if part not in data.parts:
            continue
        errors = known.get(part)
        if errors is None:
            frames, batch_size = data.parts[part], config.Trainer.batch_size
            errors = evaluate_frames(potential, data.dataset, frames, batch_size, config.Metrics)
        results[part] = errors | {"score": weighted_sum(errors, config.Metrics)}
        for kind, of_kind in errors.items():
            log.info("%s: %s part: %s: %s", name, part, kind.upper(), _text(of_kind, kind, potential.units.names))
    return results


def _text(errors: Mapping[str, float], kind: str, units: Mapping[str, str]) -> str:
    words = []
    for field, value in errors.items():
        unit = units[FIELDS[field].unit]
        words.append(f"{field} {value:.4g} {f'({unit})²' if kind == 'mse' and unit else unit}".rstrip())
    return ", ".join(words)
