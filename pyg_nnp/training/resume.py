"""Trainings that are resumed from their folder."""

import logging
from pathlib import Path

from pyg_nnp.config import Config
from pyg_nnp.errors import DataError
from pyg_nnp.potential.checkpoint import BEST, LAST, load_parameters, read_saved
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.callbacks.history import epochs_before
from pyg_nnp.training.environment import changes, environment
from pyg_nnp.training.epoch import HISTORY
from pyg_nnp.training.protocol import protocol_of, refuse_changes
from pyg_nnp.training.settings import TrainingData, TrainingSettings
from pyg_nnp.training.state import EarlyStopping, TrainingState

log = logging.getLogger(__name__)


def begin_or_resume(
    potential: Potential, config: Config, name: str, data: TrainingData, settings: TrainingSettings
) -> TrainingState:
    """Return the state of a new training, or, where this is asked for, of one that is resumed.

    Args:
        potential: on the device to train on.
        config: the whole configuration.
        name: of the model.
        data: all frames, and the frames of each part.
        settings: the options.

    Raises:
        ConfigError: configuration or data changed.
        DataError: what was saved is damaged, or is not of one training.
    """
    state = TrainingState.begin(potential, config.Trainer, data.parts, protocol_of(config, name, data.dataset))
    if config.Trainer.resume:
        resume(state, settings)
    return state


def resume(state: TrainingState, settings: TrainingSettings) -> None:
    """Restore the state of a training from its folder, if there is one, and log what was restored.

    Args:
        state: before the first step.
        settings: the options.

    Raises:
        ConfigError: configuration or data changed.
        DataError: what was saved is damaged, or is not of one training.
    """
    folder, max_epochs = settings.folder, settings.trainer.max_epochs
    if not (folder / LAST).exists() and not _has_an_epoch(folder):
        log.info("There is nothing in %s to go on from: a new training.", folder)
        return
    changed = restore_state(state, folder / LAST, settings.place)
    best = state.early_stopping
    # the best is saved before the last, which a kill may have come between
    if best.epoch and read_saved(folder / BEST)[0]["epoch"] != state.epoch:
        check_best(best, folder)
    if state.epoch > max_epochs:
        log.info("All %d epochs are done. For more, start a new training with pretrained: %s.", max_epochs, folder)
        return
    log.info(
        "Going on in epoch %d after %d steps: restored parameters, optimiser, learning rate, random generators, order "
        "of frames, and the best score %g of epoch %d.",
        state.epoch,
        state.step,
        best.score,
        best.epoch,
    )
    if changed:
        log.warning("The last bits may differ from those of a run that was not stopped: %s.", "; ".join(changed))


def restore_state(state: TrainingState, path: Path, place: str) -> list[str]:
    """Restore a state from the file that it was saved in.

    Args:
        state: before the first step.
        path: of the file.
        place: name of the configuration in messages.

    Returns:
        What changed in the environment, and may change the last bits.

    Raises:
        ConfigError: configuration or data are not the same any more; nothing was restored.
        DataError: the file is damaged.
    """
    description, tensors = read_saved(path)
    try:
        saved = description["training"]
        refuse_changes(saved["protocol"], state.protocol, path, place)
        load_parameters(state.potential, description, tensors)
        state.set_saved(saved, tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: this holds no training to go on with: {error!r}. Start a new one.") from error
    return list(changes(saved["environment"], environment(state.potential.device)))


def check_best(best: EarlyStopping, folder: Path) -> None:
    """Refuse a best potential that is not that of this training.

    Raises:
        DataError: it is another, or damaged.
    """
    description, _ = read_saved(folder / BEST)
    # trainings that were begun with older versions have no digest
    if description["epoch"] != best.epoch or best.sha256 not in (None, description["sha256"]):
        raise DataError(
            f"{folder / BEST}: this is not the potential of epoch {best.epoch}, the best one of this training. Put "
            "the right file in its place, or start a new training."
        )


def _has_an_epoch(folder: Path) -> bool:
    """Say whether more was saved than the first epoch alone, whose best state comes before all that goes with it."""
    best = folder / BEST
    return best.exists() and (read_saved(best)[0]["epoch"] > 1 or len(list(epochs_before(folder / HISTORY, 3))) > 1)
