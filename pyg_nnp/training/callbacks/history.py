"""``history.csv``: a line for each epoch."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from pyg_nnp.runtime.files import write_durably
from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.epoch import HISTORY, Epoch
from pyg_nnp.training.state import TrainingState


class HistoryWriter(Callback):
    """Adds the line of each epoch to ``history.csv``.

    Args:
        folder: of the model.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / HISTORY

    def on_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Write the line of the epoch."""
        write_history(self._path, epoch.row())


def write_history(path: Path, row: Mapping[str, float]) -> None:
    """Add the line of an epoch to a CSV file; lines of it and of later epochs, which a kill may have left, go.

    Lines with fewer columns, from older versions, are filled up with empty ones at their end.
    """
    # line by line, so that memory does not grow with the number of epochs
    before = (line + "," * (len(row) - 1 - line.count(",")) for line in epochs_before(path, row["epoch"]))
    lines = chain([",".join(row)], before, [",".join(map(repr, row.values()))])
    write_durably(path, (f"{line}\n".encode() for line in lines))


def epochs_before(path: Path, epoch: float) -> Iterator[str]:
    """Yield the lines of the epochs before one; none if there is no file."""
    if path.exists():
        with path.open() as file:
            next(file, None)
            yield from (line.rstrip("\n") for line in file if int(line.partition(",")[0]) < epoch)
