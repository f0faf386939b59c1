"""The callbacks of the command ``train``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pyg_nnp.config import Config
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.callbacks.files import Checkpoints, HistoryWriter, RunRecorder, TensorBoard
from pyg_nnp.training.callbacks.profile import Profile
from pyg_nnp.training.callbacks.progress import EpochProgress
from pyg_nnp.training.records import TENSORBOARD


@dataclass(frozen=True)
class Reporting:
    """Where a run writes to.

    Attributes:
        out: output folder.
        console: for the progress bar.
        warnings: of the run, a list that grows.
        profile: log where the time of an epoch goes.
    """

    out: Path
    console: Console
    warnings: Sequence[str]
    profile: bool = False

    def callbacks(self, config: Config, name: str, potential: Potential) -> list[Callback]:
        """Return all that watches the training of a model; its potential is on the device to train on."""
        folder = self.out / config.folder_name(name)
        callbacks: list[Callback] = [
            Checkpoints(folder),
            HistoryWriter(folder),
            RunRecorder(folder, self.warnings),
            EpochProgress(self.console, name, config.Trainer.max_epochs, folder),
        ]
        if config.Trainer.tensorboard:
            callbacks.append(TensorBoard(self.out / TENSORBOARD / folder.name))
        if self.profile:
            # the last, so that saving is a part of the epoch
            callbacks.append(Profile(potential, name))
        return callbacks
