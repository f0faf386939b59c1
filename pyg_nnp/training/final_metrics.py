"""The errors of a trained potential on validation and test part."""

import logging
from collections.abc import Mapping
from typing import Any

from pyg_nnp.config import Config
from pyg_nnp.fields import FIELDS
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.evaluation import evaluate_frames
from pyg_nnp.training.metrics import Errors, weighted_sum
from pyg_nnp.training.report.types import Evaluation
from pyg_nnp.training.settings import TrainingData

log = logging.getLogger(__name__)


def final_metrics(
    config: Config, name: str, potential: Potential, data: TrainingData, evaluation: Evaluation | None
) -> dict[str, dict[str, Any]]:
    """Return the errors on validation and test part, with their score, and log them.

    Args:
        config: the whole configuration.
        name: of the model.
        potential: the trained one.
        data: all frames, and the frames of each part.
        evaluation: that of the report, of a part that then is not evaluated again.
    """
    results: dict[str, dict[str, Any]] = {}
    for part in ("validation", "test"):
        if part in data.parts:
            if evaluation is not None and evaluation.part == part:
                errors = evaluation.errors
            else:
                frames, batch_size = data.parts[part], config.Trainer.batch_size
                errors = evaluate_frames(potential, data.dataset, frames, batch_size, config.Metrics)
            results[part] = errors | {"score": weighted_sum(errors, config.Metrics)}
            for kind in errors:
                log.info("%s: %s part: %s: %s", name, part, kind.upper(), _text(errors, kind, potential.units.names))
    return results


def _text(errors: Errors, kind: str, units: Mapping[str, str]) -> str:
    words = []
    for field, value in errors[kind].items():
        unit = units[FIELDS[field].unit]
        words.append(f"{field} {value:.4g} {f'({unit})²' if kind == 'mse' and unit else unit}".rstrip())
    return ", ".join(words)
