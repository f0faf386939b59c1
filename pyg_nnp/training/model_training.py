"""The training of one model, from a built potential to its metrics and report."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch

from pyg_nnp.config import Config
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.fit import fit
from pyg_nnp.training.initial import InitialModel
from pyg_nnp.training.output_folder import claimed
from pyg_nnp.training.preparation import prepare_potential
from pyg_nnp.training.results import write_results
from pyg_nnp.training.resume import begin_or_resume, check_best
from pyg_nnp.training.settings import TrainingData, TrainingSettings

log = logging.getLogger(__name__)


def train_model(
    config: Config,
    model: InitialModel,
    data: TrainingData,
    device: torch.device,
    out: Path,
    callbacks_of: Callable[[str, Potential], list[Callback]],
) -> None:
    """Train one model, and write its metrics and its report.

    Args:
        config: the whole configuration.
        model: as it was built.
        data: all frames, and the frames of each part.
        device: where to train.
        out: output folder.
        callbacks_of: called with the name of the model and the potential; returns all that watches the training.

    Raises:
        TrainingError: the training failed, or another run trains the same model.
        ConfigError: it cannot be resumed since configuration or data changed.
        DataError: it cannot be resumed since what was saved is damaged.
    """
    name, potential, trainer = model.name, model.potential, config.Trainer
    configured, folder = config.Modelhub.internal_FFs[name], out / config.folder_name(name)
    settings = TrainingSettings(trainer, configured.loss, config.Metrics, folder, config.source)
    model.log_pretrained()
    prepare_potential(potential, config, name, data)
    potential.to(device)
    count = sum(parameter.numel() for parameter in potential.parameters())
    log.info("%s: %s with %d parameters, %s, on %s.", name, configured.architecture, count, trainer.dtype, device)
    callbacks = callbacks_of(name, potential)
    with claimed(folder):
        state = begin_or_resume(potential, config, name, data, settings)
        fit(state, data, settings, callbacks)
        check_best(state.early_stopping, folder)
        write_results(config, name, data, out, device)
