"""The callbacks of the command ``train``."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from pyg_nnp.config import Config
from pyg_nnp.errors import ConfigError
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.callbacks.checkpoints import Checkpoints
from pyg_nnp.training.callbacks.history import HistoryWriter
from pyg_nnp.training.callbacks.profile import Profile
from pyg_nnp.training.callbacks.progress import EpochProgress
from pyg_nnp.training.callbacks.run_recorder import RunRecorder
from pyg_nnp.training.callbacks.tensorboard import FOLDER, TensorBoard


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


def check_tensorboard(config: Config) -> None:
    """Refuse to log for TensorBoard where it is not installed.

    Raises:
        ConfigError: it is not.
    """
    if config.Trainer.tensorboard and find_spec("tensorboard") is None:
        raise ConfigError(
            f"{config.source}: Trainer.tensorboard: the package tensorboard is not installed. Install it with "
            "pip install 'pyg-nnp[tensorboard]', or set this to false."
        )


def standard_callbacks(config: Config, reporting: Reporting, name: str, potential: Potential) -> list[Callback]:
    """Return all that watches the training of a model.

    Args:
        config: the whole configuration.
        reporting: where to write to.
        name: of the model.
        potential: on the device to train on.
    """
    folder = reporting.out / config.folder_name(name)
    callbacks: list[Callback] = [
        Checkpoints(folder),
        HistoryWriter(folder),
        RunRecorder(folder, reporting.warnings),
        EpochProgress(reporting.console, name, config.Trainer.max_epochs, folder),
    ]
    if config.Trainer.tensorboard:
        callbacks.append(TensorBoard(reporting.out / FOLDER / folder.name))
    if reporting.profile:
        # the last, so that saving is a part of the epoch
        callbacks.append(Profile(potential, name))
    return callbacks
