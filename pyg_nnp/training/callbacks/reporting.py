"""The callbacks of the command ``train``, among them its progress bar and the epochs' lines in its log."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, TextColumn

from pyg_nnp.config import Config, Trainer
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.logs import progress_bar, time_columns
from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.callbacks.files import Checkpoints, HistoryWriter, RunRecorder, TensorBoard
from pyg_nnp.training.callbacks.profile import Profile
from pyg_nnp.training.records import HISTORY, TENSORBOARD, Epoch
from pyg_nnp.training.state import TrainingState

log = logging.getLogger(__name__)

_TIMED = 4
"""Number of epochs after which the remaining time is logged."""


@dataclass(frozen=True)
class Reporting:
    """Where a run writes to."""

    out: Path  # output folder
    console: Console  # for the progress bar
    warnings: Sequence[str]  # of the run, a list that grows
    profile: bool = False  # log where the time of an epoch goes

    def callbacks(self, config: Config, name: str, potential: Potential) -> list[Callback]:
        """Return all that watches the training of a model; its potential is on the device to train on."""
        folder = self.out / config.folder_name(name)
        callbacks: list[Callback] = [
            Checkpoints(folder),
            HistoryWriter(folder),
            RunRecorder(folder, self.warnings),
            EpochProgress(self.console, name, config.Trainer, folder),
        ]
        if config.Trainer.tensorboard:
            callbacks.append(TensorBoard(self.out / TENSORBOARD / folder.name))
        if self.profile:
            # the last, so that saving is a part of the epoch
            callbacks.append(Profile(potential, name))
        return callbacks


class EpochProgress(Callback):
    """Shows the progress bar of a training in a terminal, and writes the epochs' lines into the log file."""

    def __init__(self, console: Console, name: str, trainer: Trainer, folder: Path) -> None:
        self._name, self._folder = name, folder
        self._limit = None if trainer.max_time is None else 60 * trainer.max_time
        self._of = "" if trainer.max_time is not None else f"/{trainer.max_epochs}"
        self._max_epochs = trainer.max_epochs
        self._bar = progress_bar(
            console,
            TextColumn("{task.description} epoch"),
            TextColumn("{task.fields[epoch]}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}"),
            *time_columns(),
        )
        self._ends: list[float] = []  # of the first epochs of this run
        self._task = self._bar.add_task(name, total=None, epoch=f"0{self._of}", state="")

    def on_begin(self, state: TrainingState) -> None:
        """Show the bar, as far as the training is already, or say where the epochs are written."""
        if not self._bar.console.is_terminal:
            log.info("%s: epoch by epoch: %s.", self._name, self._folder / HISTORY)
        total = self._limit or self._max_epochs * state.steps_per_epoch
        self._bar.update(self._task, total=total, completed=self._completed(state))
        self._bar.start()

    def on_step(self, state: TrainingState) -> None:
        """Move the bar on."""
        self._bar.update(self._task, completed=self._completed(state))

    def on_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Log the results of the epoch, and show what fits beside the times in a terminal of 100 columns."""
        best = state.early_stopping
        text = f"loss {epoch.loss:.4g}"
        if epoch.score is not None:
            text += f"  score {epoch.score:.4g} (best {best.score:.4g})"
        self._bar.update(self._task, epoch=f"{epoch.number}{self._of}", state=text)
        line = "  ".join(f"{name} {value:.6g}" for name, value in epoch.row().items())
        if best.patience is not None:
            line += f"  patience {epoch.number - best.epoch}/{best.patience}"
        log.debug("%s", line)
        if len(self._ends) < _TIMED:
            self._ends.append(perf_counter())
            if len(self._ends) == _TIMED:
                self._log_time(state, epoch.number)

    def on_end(self, state: TrainingState) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _completed(self, state: TrainingState) -> float:
        """Return how much of the total is done: steps, or seconds where the clock ends the training."""
        return state.global_step if self._limit is None else min(state.elapsed, self._limit)

    def _log_time(self, state: TrainingState, number: int) -> None:
        """Log how long the epochs that are left will take, or how many the time is enough for."""
        # the first one compiles
        seconds = (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
        if self._limit is not None:
            reached = number + max(self._limit - state.elapsed, 0) / seconds
            text = "%s: %.2g s an epoch: about %d epochs, %d steps, in %g min."
            log.info(text, self._name, seconds, reached, reached * state.steps_per_epoch, self._limit / 60)
        elif (left := self._max_epochs - number) and not self._bar.console.is_terminal:
            time = timedelta(seconds=round(seconds * left))
            log.info("%s: %.2g s an epoch, %s for the %d epochs that remain.", self._name, seconds, time, left)
