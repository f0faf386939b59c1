"""Callbacks that write files: the best potential, the last state, the history, the run, and those of TensorBoard."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from pyg_nnp.potential.checkpoint import BEST, LAST, save_potential
from pyg_nnp.runtime.files import write_json
from pyg_nnp.runtime.logs import versions_by_name
from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.records import HISTORY, RUN, Epoch, RunRecord, write_history
from pyg_nnp.training.state import TrainingState

log = logging.getLogger(__name__)


class Checkpoints(Callback):
    """Saves the best potential of an epoch and then, when all else of the epoch is on the disk, the last state.

    So a crash between them leaves a last state that belongs to the best potential or to one before it, and whose epoch
    comes again when the training is resumed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Save the potential if the epoch is the best one."""
        if state.early_stopping.epoch == epoch.number:
            about = {"epoch": epoch.number, "score": epoch.score}
            with state.averaged():
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
    """Save a potential with all that its training is resumed from, between two steps, and more JSON ``about`` it.

    Raises:
        OSError: it cannot be written; a file that was there is as it was.
    """
    saved, tensors = state.to_saved()
    save_potential(state.potential, path, {**about, "training": saved}, tensors)


class HistoryWriter(Callback):
    """Adds the line of each epoch to ``history.csv``."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HISTORY

    def on_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Write the line of the epoch."""
        write_history(self._path, epoch.row())


class RunRecorder(Callback):
    """Writes ``run.json`` beside the saved states, and again when there are more ``warnings``, a list that grows."""

    def __init__(self, folder: Path, warnings: Sequence[str]) -> None:
        self._path, self._warnings = folder / RUN, warnings
        self._started = datetime.now().isoformat(timespec="seconds")
        self._written = -1  # number of warnings

    def on_next_epoch(self, state: TrainingState, epoch: Epoch | None = None) -> None:
        """Write the record, the first time or after more warnings."""
        if self._written == len(self._warnings):
            return
        potential = state.potential
        device, dtype = str(potential.device), str(potential.dtype).removeprefix("torch.")
        threads, count = torch.get_num_threads(), sum(parameter.numel() for parameter in potential.parameters())
        warnings = list(self._warnings)
        record = RunRecord(self._started, device, threads, dtype, count, versions_by_name(), warnings)
        write_json(self._path, asdict(record))
        self._written = len(record.warnings)

    on_interrupt = on_next_epoch


class TensorBoard(Callback):
    """Logs epochs for TensorBoard: each number of a line of ``history.csv`` becomes a scalar.

    Epochs that an earlier run logged, from the first one of this run on, are taken back, as a kill may have left more
    of them than of the history. If nothing can be written any more, that is logged once, and the training goes on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._failed = folder, False
        self._writer: Any = None

    def on_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Log the numbers of the epoch."""
        if self._failed:
            return
        try:
            if self._writer is None:
                # takes as long as PyTorch itself, so not when the package is imported
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(self._folder), purge_step=epoch.number)
            for name, value in epoch.row().items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, epoch.number)
            self._writer.flush()
        except OSError as error:
            self._failed = True
            log.warning("%s ends here, it cannot be written to any more: %s.", self._folder, error)

    def on_end(self, state: TrainingState) -> None:
        """Close the event files."""
        if self._writer and not self._failed:
            self._writer.close()
