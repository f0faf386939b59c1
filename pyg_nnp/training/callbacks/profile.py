"""Where the time of an epoch goes."""

import logging
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import nn

from pyg_nnp.layers.force import Force
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.callbacks.base import Callback
from pyg_nnp.training.records import Epoch
from pyg_nnp.training.state import TrainingState

log = logging.getLogger(__name__)

PARTS = ("data", "forward", "forces", "backward", "optimiser", "validation", "rest")


class Profile(Callback):
    """Measures the parts of each epoch, and logs a table of them at the end of the run, however it ended.

    A GPU is waited for at the end of each part, so that an epoch takes longer than without. The forces of the potential
    are timed by hooks from now on.

    Attributes:
        epochs: part -> seconds, for each epoch that is over.
    """

    def __init__(self, potential: Potential, name: str) -> None:
        self.epochs: list[dict[str, float]] = []
        self._name = name
        self._device = potential.device
        self._spent = dict.fromkeys(PARTS, 0.0)
        for module in potential.modules():
            if isinstance(module, Force):
                module.register_forward_pre_hook(partial(self._lap_in_training, "forward"))
                module.register_forward_hook(partial(self._lap_in_training, "forces"))
        self._last = self._now()

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return perf_counter()

    def _lap_in_training(self, part: str, layer: nn.Module, *_: Any) -> None:
        # validation is one part, with its forces
        if layer.training:
            self.on_lap(part)

    def on_begin(self, state: TrainingState) -> None:
        """Count the time since this was made as ``rest``."""
        self.on_lap("rest")

    def on_lap(self, part: str) -> None:
        """Count the time since the last lap as one of ``PARTS``."""
        now = self._now()
        self._spent[part] += now - self._last
        self._last = now

    def on_next_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Count the time since the last lap as ``rest``, and begin another epoch."""
        self.on_lap("rest")
        self.epochs.append(self._spent)
        self._spent = dict.fromkeys(PARTS, 0.0)

    def on_end(self, state: TrainingState) -> None:
        """Log the table, if an epoch is over."""
        if self.epochs:
            log.info(
                f"{self._name}: time of an epoch. The forward pass is without forces; the rest is the loss, saving, "
                f"and so on; the first epoch may have kernels to compile.\n{self.table()}"
            )

    def table(self) -> str:
        """Return seconds and shares of the first epoch, and of the mean of those after it; there must be an epoch."""
        first, later = self.epochs[0], self.epochs[1:]
        columns = {"first epoch": first}
        if later:
            mean = {part: sum(epoch[part] for epoch in later) / len(later) for part in PARTS}
            columns[f"mean of {len(later)} later"] = mean
        lines = [" " * 10 + "".join(f"{title:>22}" for title in columns)]
        for part in (*PARTS, "epoch"):
            line = f"{part:10}"
            for column in columns.values():
                total = sum(column.values())
                seconds = column.get(part, total)
                line += f"{seconds:12.4f} s {100 * seconds / total:5.1f} %"
            lines.append(line)
        return "\n".join(lines)
