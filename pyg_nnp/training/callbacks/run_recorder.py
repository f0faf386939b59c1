"""Writes ``run.json``."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import torch

from pyg_nnp.runtime.files import write_json
from pyg_nnp.runtime.logs import versions_by_name
from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.epoch import Epoch
from pyg_nnp.training.run_record import RUN, RunRecord
from pyg_nnp.training.state import TrainingState


class RunRecorder(Callback):
    """Writes ``run.json`` beside the saved states, and again when there are more warnings.

    Args:
        folder: of the model.
        warnings: of the run, a list that grows.
    """

    def __init__(self, folder: Path, warnings: Sequence[str]) -> None:
        self._path, self._warnings = folder / RUN, warnings
        self._started = datetime.now().isoformat(timespec="seconds")
        self._written = -1  # number of warnings

    def on_next_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Write the record, the first time or after more warnings."""
        self._write(state)

    def on_interrupt(self, state: TrainingState) -> None:
        """Write the record, the first time or after more warnings."""
        self._write(state)

    def _write(self, state: TrainingState) -> None:
        if self._written == len(self._warnings):
            return
        potential = state.potential
        record = RunRecord(
            self._started,
            str(potential.device),
            torch.get_num_threads(),
            str(potential.dtype).removeprefix("torch."),
            sum(parameter.numel() for parameter in potential.parameters()),
            versions_by_name(),
            list(self._warnings),
        )
        write_json(self._path, asdict(record))
        self._written = len(record.warnings)
