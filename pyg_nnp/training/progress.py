"""The progress bar of a training, and the epochs' lines in its log."""

import logging
from datetime import timedelta
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, TextColumn

from pyg_nnp.runtime.logs import progress_bar, time_columns
from pyg_nnp.training.fit import Epoch
from pyg_nnp.training.state import Best

_TIMED = 4
"""Epochs after which it is said how long all will take."""


class EpochProgress:
    """The progress bar of a training, and the epochs' lines in the log file.

    Args:
        console: where the bar is shown, if it is a terminal.
        name: of the model.
        max_epochs: the planned number of epochs.
        steps: optimiser steps in an epoch.
    """

    def __init__(self, console: Console, name: str, max_epochs: int, steps: int) -> None:
        self.log = logging.getLogger(__name__)
        self.name = name
        self.max_epochs = max_epochs
        self.bar = progress_bar(
            console,
            TextColumn("{task.description} epoch"),
            TextColumn("{task.fields[epoch]}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}"),
            *time_columns(),
        )
        self.ends: list[float] = []  # of the first epochs of this run
        self.task = self.bar.add_task(name, total=max_epochs * steps, epoch=f"0/{max_epochs}", state="")

    def on_step(self, taken: int) -> None:
        """Advance to the optimiser steps that were taken."""
        self.bar.update(self.task, completed=taken)

    def on_epoch(self, epoch: Epoch, best: Best) -> None:
        """Log what the epoch came to, and show what fits beside the times in a terminal of 100 columns."""
        state = f"loss {epoch.loss:.4g}"
        if epoch.score is not None:
            state += f"  score {epoch.score:.4g} (best {best.score:.4g})"
        self.bar.update(self.task, epoch=f"{epoch.number}/{self.max_epochs}", state=state)
        line = "  ".join(f"{name} {value:.6g}" for name, value in epoch.row().items())
        if best.patience is not None:
            line += f"  patience {epoch.number - best.epoch}/{best.patience}"
        self.log.debug("%s", line)
        if len(self.ends) < _TIMED:
            self.ends.append(perf_counter())
            if len(self.ends) == _TIMED:
                self._tell_time(self.max_epochs - epoch.number)

    def _tell_time(self, left: int) -> None:
        """Say how long the epochs that are left will take, where no progress bar does."""
        # the first one compiles
        seconds = (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)
        if left and not self.bar.console.is_terminal:
            time = timedelta(seconds=round(seconds * left))
            self.log.info("%s: %.2g s an epoch, %s for the %d epochs that remain.", self.name, seconds, time, left)
