"""Trainings that are resumed from their folder: the same configuration and data, and the state that was saved."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyg_nnp.config import Config, Trainer
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.potential.checkpoint import BEST, LAST, load_parameters, read_saved
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.files import digest, finite
from pyg_nnp.training.environment import changes, environment, take_threads
from pyg_nnp.training.initial_parameters import initialise_potential
from pyg_nnp.training.records import HISTORY, epochs_before
from pyg_nnp.training.state import TrainingData, TrainingSettings, TrainingState

log = logging.getLogger(__name__)

_MOST_CHANGES = 5


def begin_or_resume(
    potential: Potential, config: Config, name: str, data: TrainingData, settings: TrainingSettings
) -> TrainingState:
    """Return the state of a new training, or, where this is asked for, of the one in its folder, and log which.

    The potential is on the device to train on.

    Raises:
        ConfigError: configuration or data changed.
        DataError: what was saved is damaged, or is not of one training.
    """
    folder, trainer = settings.folder, settings.trainer
    is_new = not trainer.resume or not ((folder / LAST).exists() or _has_an_epoch(folder))
    if is_new:
        # averages begin with the parameters that it leaves
        initialise_potential(potential, config, name, data)
    state = TrainingState.begin(potential, trainer, data.parts, _protocol(config, name, data.dataset.hash))
    if is_new:
        if trainer.resume:
            log.info("There is nothing in %s to go on from: a new training.", folder)
        return state
    changed = restore_state(state, folder / LAST, settings.place)
    best = state.early_stopping
    # the best is saved before the last, which a kill may have come between
    if best.epoch and read_saved(folder / BEST)[0]["epoch"] != state.epoch:
        check_best(state, folder)
    if state.is_over(trainer.max_epochs):
        done = f"All {trainer.max_epochs} epochs are done" if trainer.max_time is None else "The max_time is over"
        log.info("%s. For more, start a new training with pretrained: %s.", done, folder)
        return state
    log.info(
        f"Going on in epoch {state.epoch} after {state.step} steps: restored parameters, optimiser, learning rate, "
        f"random generators, order of frames, and the best score {best.score:g} of epoch {best.epoch}."
    )
    if changed:
        log.warning("The last bits may differ from those of a run that was not stopped: %s.", "; ".join(changed))
    return state


def restore_state(state: TrainingState, path: Path, place: str) -> list[str]:
    """Restore a state from the file that it was saved in; ``place`` is the name of the configuration in messages.

    Returns:
        What changed in the environment, and may change the last bits.

    Raises:
        ConfigError: configuration or data are not the same any more; nothing was restored.
        DataError: the file is damaged.
    """
    description, tensors = read_saved(path)
    try:
        saved = description["training"]
        _refuse_changes(saved["protocol"], state.protocol, path, place)
        load_parameters(state.potential, description, tensors)
        state.set_saved(saved, tensors)
        take_threads(saved["environment"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: this holds no training to go on with: {error!r}. Start a new one.") from error
    alone = {"processes": 1}
    return list(changes(alone | saved["environment"], alone | environment(state.potential.device)))


def check_best(state: TrainingState, folder: Path) -> None:
    """Refuse a best potential that is not that of this training.

    Raises:
        DataError: it is another, or damaged.
    """
    best, (description, _) = state.early_stopping, read_saved(folder / BEST)
    # trainings that were begun with older versions have no digest
    if description["epoch"] != best.epoch or best.sha256 not in (None, description["sha256"]):
        raise DataError(
            f"{folder / BEST}: this is not the potential of epoch {best.epoch}, the best one of this training. Put "
            "the right file in its place, or start a new training."
        )


def check_resumable(config: Config, name: str, data_hash: str, out: Path) -> None:
    """Refuse to resume another training than the one that was stopped, before anything is trained.

    Raises:
        ConfigError: configuration or data are others.
        DataError: what was saved is damaged.
    """
    last = out / config.folder_name(name) / LAST
    if config.Trainer.resume and last.exists():
        saved = read_saved(last)[0].get("training", {}).get("protocol")
        if saved is not None:
            _refuse_changes(saved, _protocol(config, name, data_hash), last, config.source)


def _protocol(config: Config, name: str, data_hash: str) -> dict[str, Any]:
    """Return all of configuration and data that the result of a training depends on, as nested JSON-like dicts."""
    document = config.model_dump(mode="json")
    model, trainer = document["Modelhub"]["internal_FFs"][name], document["Trainer"]
    for key in ("active", "suffix"):
        del model[key]
    for key in ("cuda", "num_workers", "report", "resume", "tensorboard"):
        del trainer[key]
    for key in ("save", "preload"):
        del trainer["Splitter"][key]
    if (index := config.Trainer.Splitter.index_file) is not None:
        # wherever it lies
        trainer["Splitter"]["index_file"] = digest(Path(index))
    kept = {"Modelhub": {name: model}, "Trainer": trainer, "Metrics": document["Metrics"]}
    transforms = document["Datahub"]["transforms"]
    # the hash covers content, mapping and options of the data; normalization is done after it
    kept["Datahub"] = {"transforms": transforms, "content and options": data_hash}
    result: dict[str, Any] = finite(kept)
    return result


def _refuse_changes(saved: Mapping[str, Any], protocol: Mapping[str, Any], path: Path, place: str) -> None:
    # what an older version did not know was as it is by default
    defaults = Trainer().model_dump(mode="json").items()
    known = {key: value for key, value in defaults if key in protocol.get("Trainer", {})}
    found = list(changes({**saved, "Trainer": {**known, **saved.get("Trainer", {})}}, protocol))
    if found:
        more = len(found) - _MOST_CHANGES
        listed = "; ".join(found[:_MOST_CHANGES]) + (f"; and {more} more" if more > 0 else "")
        raise ConfigError(
            f"{place}: {path} cannot go on, since this is not the training that was stopped: {listed}. "
            "Put back what was changed, or start a new training with another -o or suffix; with pretrained in the "
            "model it begins with the parameters of this one."
        )


def _has_an_epoch(folder: Path) -> bool:
    """Say whether more was saved than the first epoch alone, whose best state comes before all that goes with it."""
    best = folder / BEST
    return best.exists() and (read_saved(best)[0]["epoch"] > 1 or len(list(epochs_before(folder / HISTORY, 3))) > 1)
