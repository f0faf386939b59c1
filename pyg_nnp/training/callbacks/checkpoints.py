"""``best.safetensors`` and ``last.safetensors``: the best potential, and the state to resume from."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyg_nnp.potential.checkpoint import BEST, LAST, save_potential
from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.epoch import Epoch
from pyg_nnp.training.state import TrainingState

log = logging.getLogger(__name__)


class Checkpoints(Callback):
    """Saves the best potential of an epoch and then, when all else of the epoch is on the disk, the last state.

    So a crash between them leaves a last state that belongs to the best potential or to one before it, and whose epoch
    comes again when the training is resumed.

    Args:
        folder: of the model.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Save the potential if the epoch is the best one."""
        if state.early_stopping.epoch == epoch.number:
            about = {"epoch": epoch.number, "score": epoch.score}
            state.early_stopping.sha256 = save_potential(state.potential, self._folder / BEST, about)

    def on_next_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Save the state."""
        save_state(state, self._folder / LAST, {"epoch": epoch.number, "score": epoch.score})

    def on_interrupt(self, state: TrainingState) -> None:
        """Save the state after the last step."""
        save_state(state, self._folder / LAST, {})
        done, steps = state.step, state.steps_per_epoch
        log.info("Stopped in epoch %d after %d of %d steps; saved in %s.", state.epoch, done, steps, self._folder)


def save_state(state: TrainingState, path: Path, about: Mapping[str, Any]) -> None:
    """Save a potential with all that its training is resumed from.

    Args:
        state: between two steps.
        path: of the file.
        about: more to be written into the JSON.

    Raises:
        OSError: it cannot be written; a file that was there is as it was.
    """
    saved, tensors = state.to_saved()
    save_potential(state.potential, path, {**about, "training": saved}, tensors)
