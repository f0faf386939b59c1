"""Averages of the parameters over the steps of a training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.wiring import filter_tables

_PREFIX = "training.average."


class Averages:
    r"""The exponential moving averages of the parameters of a potential, :math:`a \leftarrow d a + (1 - d) w`.

    Their decay rises, :math:`d_t = \min(d, (1 + t) / (10 + t))` at step t, so that the first parameters are forgotten.

    Args:
        potential: whose parameters are averaged.
        decay: d, the largest decay.
    """

    def __init__(self, potential: Potential, decay: float) -> None:
        self._potential, self._decay = potential, decay
        self._parameters: list[Tensor] = list(potential.parameters())
        self._values = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self, global_step: int) -> None:
        """Take in the parameters after a step, counted from 0."""
        decay = min(self._decay, (1 + global_step) / (10 + global_step))
        torch._foreach_lerp_(self._values, self._parameters, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the potential have the averages for its parameters; afterwards it goes on as if it never had."""
        tables = filter_tables(self._potential)
        parameters, rows = [p.detach().clone() for p in self._parameters], [t.get_extra_state() for t in tables]
        try:
            self._set(self._values)
            yield
        finally:
            self._set(parameters)
            for table, state in zip(tables, rows, strict=True):
                table.set_extra_state(state)

    @torch.no_grad()
    def _set(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)

    def to_saved(self) -> dict[str, Tensor]:
        """Return the averages under the names that they are saved with."""
        return {f"{_PREFIX}{number}": value for number, value in enumerate(self._values)}

    def set_saved(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the averages to what was saved; one that is missing is a KeyError."""
        for number, value in enumerate(self._values):
            value.copy_(tensors[f"{_PREFIX}{number}"])
