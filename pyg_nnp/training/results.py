"""Results of a trained model: ``metrics.json`` and the report."""

import logging
from pathlib import Path

import torch

from pyg_nnp.config import Config
from pyg_nnp.potential.checkpoint import BEST, load_potential
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.files import write_json
from pyg_nnp.training.final_metrics import final_metrics
from pyg_nnp.training.report.collect import collect, compared_fields
from pyg_nnp.training.report.records import METRICS
from pyg_nnp.training.report.types import Evaluation
from pyg_nnp.training.settings import TrainingData

log = logging.getLogger(__name__)


def write_results(config: Config, name: str, data: TrainingData, out: Path, device: torch.device) -> None:
    """Evaluate the best potential of a training, and write ``metrics.json`` and, if it is asked for, the report.

    Args:
        config: the whole configuration.
        name: of the model.
        data: all frames, and the frames of each part.
        out: output folder.
        device: where to evaluate.
    """
    folder = out / config.folder_name(name)
    potential = load_potential(folder, device)
    best = potential.spec["epoch"]
    log.info("%s: the best epoch was %d; its potential is %s.", name, best, folder / BEST)
    evaluation = _evaluation(config, name, potential, data, out) if config.Trainer.report else None
    metrics = final_metrics(config, name, potential, data, evaluation)
    write_json(folder / METRICS, {"best_epoch": best, **metrics})
    if evaluation is not None:
        _report(config, name, potential, data, evaluation, out)


def _evaluation(config: Config, name: str, potential: Potential, data: TrainingData, out: Path) -> Evaluation | None:
    """Evaluate the potential for the report; an error is logged, since the training is over and saved."""
    fields, batch_size = compared_fields(config, name, potential), config.Trainer.batch_size
    try:
        return collect(potential, data.dataset, data.parts, fields, batch_size, config.Metrics)
    except Exception as error:
        warn_of_no_report(name, out, error)
        return None


def _report(
    config: Config, name: str, potential: Potential, data: TrainingData, evaluation: Evaluation, out: Path
) -> None:
    """Make the report of a model; an error is logged, since the training is over and saved."""
    try:
        # it takes matplotlib, which a training without report does not need
        from pyg_nnp.training.report.make import make_report

        log.info("%s: the report is %s.", name, make_report(config, name, data, potential, evaluation, out))
    except Exception as error:
        warn_of_no_report(name, out, error)


def warn_of_no_report(name: str, out: Path, error: Exception) -> None:
    """Log why there is no report."""
    reason = f"{type(error).__name__}: {error}"
    log.warning("%s: no report could be made (%s). Try again with: pyg-nnp report %s", name, reason, out)
    log.debug("It ended here:", exc_info=error)
