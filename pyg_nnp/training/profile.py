"""Where the time of an epoch goes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import nn

from pyg_nnp.layers.force import Force
from pyg_nnp.potential.potential import Potential

log = logging.getLogger(__name__)

PARTS = ("data", "forward", "forces", "backward", "optimiser", "validation", "rest")


class Stopwatch:
    """Is told by a training where it is. This one measures nothing, and so costs nothing."""

    def lap(self, part: str) -> None:
        """Count the time since the last lap as one of ``PARTS``."""

    def end_epoch(self) -> None:
        """Count the time since the last lap as ``rest``, and begin another epoch."""


UNTIMED = Stopwatch()


class Profile(Stopwatch):
    """Measures. A GPU is waited for at each lap, so that an epoch takes longer than without.

    Args:
        potential: on the device to train on; its forces are timed from now on, by hooks.

    Attributes:
        epochs: part -> seconds, for each epoch that is over.
    """

    def __init__(self, potential: Potential) -> None:
        self.epochs: list[dict[str, float]] = []
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
            self.lap(part)

    def lap(self, part: str) -> None:
        """Count the time since the last lap as one of ``PARTS``."""
        now = self._now()
        self._spent[part] += now - self._last
        self._last = now

    def end_epoch(self) -> None:
        """Count the time since the last lap as ``rest``, and begin another epoch."""
        self.lap("rest")
        self.epochs.append(self._spent)
        self._spent = dict.fromkeys(PARTS, 0.0)

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


@contextmanager
def profiled(potential: Potential, name: str) -> Iterator[Profile]:
    """Measure the epochs of a training, and log where their time went however the training ends.

    Args:
        potential: see :class:`Profile`.
        name: of the model, for the log.
    """
    profile = Profile(potential)
    try:
        yield profile
    finally:
        if profile.epochs:
            log.info(
                "%s: time of an epoch. The forward pass is without forces; the rest is the loss, saving, and so on; "
                "the first epoch may have kernels to compile.\n%s",
                name,
                profile.table(),
            )
