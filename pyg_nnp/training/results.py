"""Results of a trained model: ``metrics.json`` and the report."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pyg_nnp.config import Config
from pyg_nnp.potential.checkpoint import BEST, load_potential
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime import processes
from pyg_nnp.training.evaluation import final_metrics
from pyg_nnp.training.records import write_metrics
from pyg_nnp.training.report.collect import collect
from pyg_nnp.training.report.types import Evaluation
from pyg_nnp.training.state import TrainingData

log = logging.getLogger(__name__)


def write_results(config: Config, name: str, data: TrainingData, out: Path, device: torch.device) -> None:
    """Evaluate the best potential of a training, and write ``metrics.json`` and, if it is asked for, the report."""
    folder = out / config.folder_name(name)
    potential = load_potential(folder, device)
    best = potential.spec["epoch"]
    log.info("%s: the best epoch was %d; its potential is %s.", name, best, folder / BEST)
    evaluation = None
    # what may fail is left to the first of several processes, so that the others need not know
    of_several = processes.count() > 1
    if config.Trainer.report and not of_several:
        with _training_kept(name, out):
            evaluation = evaluate_for_report(config, name, potential, data)
    known = {} if evaluation is None else {evaluation.part: evaluation.sums}
    metrics = final_metrics(config, name, potential, data, known)

    def write() -> None:
        write_metrics(folder, best, metrics)
        if config.Trainer.report and (evaluation is not None or of_several):
            with _training_kept(name, out):
                # it takes matplotlib, which a training without report does not need
                from pyg_nnp.training.report.make import make_report

                shown = evaluation or evaluate_for_report(config, name, potential, data)
                log.info("%s: the report is %s.", name, make_report(config, name, data, potential, shown, out))

    processes.once(write)


def evaluate_for_report(config: Config, name: str, potential: Potential, data: TrainingData) -> Evaluation:
    """Evaluate a trained potential: all targets, and ``Q`` where metrics or loss ask for it."""
    of_loss = config.Modelhub.internal_FFs[name].loss
    asked = {field for weights in (config.Metrics, of_loss) for terms in weights.values() for field in terms}
    wanted = [*config.Datahub.targets, *(["Q"] if "Q" in asked else [])]
    return collect(potential, data.dataset, data.parts, wanted, config.Trainer.batch_size, config.Metrics)


@contextmanager
def _training_kept(name: str, out: Path) -> Iterator[None]:
    """Only log an error, since the training is over and saved."""
    try:
        yield
    except Exception as error:
        warn_of_no_report(name, out, error)


def warn_of_no_report(name: str, out: Path, error: Exception) -> None:
    """Log why there is no report."""
    reason = f"{type(error).__name__}: {error}"
    log.warning("%s: no report could be made (%s). Try again with: pyg-nnp report %s", name, reason, out)
    log.debug("It ended here:", exc_info=error)
