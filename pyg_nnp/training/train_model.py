"""The training of one model, from a built potential to its metrics and report."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from pyg_nnp.config import Config
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime import processes
from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.fit import fit
from pyg_nnp.training.references_and_domain import prepare_potential
from pyg_nnp.training.results import write_results
from pyg_nnp.training.resume import begin_or_resume, check_best
from pyg_nnp.training.run_setup import claimed
from pyg_nnp.training.state import TrainingData, TrainingSettings

log = logging.getLogger(__name__)

Watching = Callable[[Potential], Sequence[Callback]]


def train_model(
    config: Config, name: str, potential: Potential, data: TrainingData, out: Path, watching: Watching
) -> None:
    """Train one model on the device that its potential is on, and write its metrics and its report.

    Several processes do so together. ``out`` is the output folder, and ``watching`` returns the callbacks of
    the first one.

    Raises:
        TrainingError: the training failed, or another run trains the same model.
        ConfigError: it cannot be resumed since configuration or data changed.
        DataError: it cannot be resumed since what was saved is damaged.
    """
    trainer, configured = config.Trainer, config.Modelhub.internal_FFs[name]
    folder = out / config.folder_name(name)
    settings = TrainingSettings(trainer, configured.loss, config.Metrics, folder, config.source)
    prepare_potential(potential, config, name, data)
    device = potential.device
    count = sum(parameter.numel() for parameter in potential.parameters())
    log.info("%s: %s with %d parameters, %s, on %s.", name, configured.architecture, count, trainer.dtype, device)
    # of several processes the first one alone writes
    callbacks = watching(potential) if processes.number() == 0 else []
    with claimed(folder) if processes.number() == 0 else nullcontext():
        state = begin_or_resume(potential, config, name, data, settings)
        processes.take_from_first([*potential.parameters(), *potential.buffers()])
        fit(state, data, settings, callbacks)
        if processes.number() == 0:
            check_best(state, folder)
        processes.wait_for_all()
        write_results(config, name, data, out, device)
