"""The numbers of each epoch for TensorBoard."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pyg_nnp.config import Config
from pyg_nnp.errors import ConfigError
from pyg_nnp.training.fit import Epoch

log = logging.getLogger(__name__)

FOLDER = "tensorboard"


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


@contextmanager
def board(folder: Path) -> Iterator[Callable[[Epoch], None]]:
    """Log epochs for TensorBoard; if nothing can be written any more, that is said once, and the training goes on.

    Args:
        folder: of the event files; it is made at the first epoch.

    Yields:
        What takes an epoch: each number of its line in ``history.csv`` becomes a scalar. Epochs that an earlier run
        logged from the first one on are taken back, as a kill may have left more of them than of the history.
    """
    writer: Any = None
    failed = False

    def add(epoch: Epoch) -> None:
        nonlocal writer, failed
        if failed:
            return
        try:
            writer = writer or _writer(folder, epoch.number)
            for name, value in epoch.row().items():
                if name != "epoch":
                    writer.add_scalar(name, value, epoch.number)
            writer.flush()
        except OSError as error:
            failed = True
            log.warning("%s ends here, it cannot be written to any more: %s.", folder, error)

    try:
        yield add
    finally:
        if writer and not failed:
            writer.close()


def _writer(folder: Path, first: int) -> Any:
    # takes as long as PyTorch itself, so not when the package is imported
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=first)
