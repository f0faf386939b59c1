"""The numbers of each epoch for TensorBoard."""

import logging
from pathlib import Path
from typing import Any

from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.epoch import Epoch
from pyg_nnp.training.state import TrainingState

log = logging.getLogger(__name__)

FOLDER = "tensorboard"


class TensorBoard(Callback):
    """Logs epochs for TensorBoard: each number of a line of ``history.csv`` becomes a scalar.

    Epochs that an earlier run logged, from the first one of this run on, are taken back, as a kill may have left more
    of them than of the history. If nothing can be written any more, that is logged once, and the training goes on.

    Args:
        folder: of the event files; it is made at the first epoch.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._failed = folder, False
        self._writer: Any = None

    def on_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Log the numbers of the epoch."""
        if self._failed:
            return
        try:
            self._writer = self._writer or _writer(self._folder, epoch.number)
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


def _writer(folder: Path, first: int) -> Any:
    # takes as long as PyTorch itself, so not when the package is imported
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=first)
