"""The events of a training, which callbacks react to."""

from collections.abc import Callable, Iterable
from typing import Concatenate, ParamSpec

from pyg_nnp.training.records import Epoch
from pyg_nnp.training.state import TrainingState

P = ParamSpec("P")


class Callback:
    """Reacts to the events of a training; here each method does nothing.

    :meth:`on_epoch`, :meth:`on_next_epoch` and :meth:`on_interrupt` are not cut by signals.
    """

    def on_begin(self, state: TrainingState) -> None:
        """React to the beginning of a run, new or resumed."""

    def on_lap(self, part: str) -> None:
        """React to the end of a part of an epoch, such as ``forward`` or ``validation``."""

    def on_step(self, state: TrainingState) -> None:
        """React to an optimiser step."""

    def on_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """React to the results of an epoch; all that must be on the disk before the state of the next epoch is."""

    def on_next_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """React to the state having moved from an epoch, whose results are given, to the beginning of the next."""

    def on_interrupt(self, state: TrainingState) -> None:
        """React to Ctrl-C or SIGTERM; the state is that after the last step."""

    def on_end(self, state: TrainingState) -> None:
        """React to the end of a run, however it ended."""


class CallbackList:
    """Several callbacks, told of each event in their order.

    Attributes:
        lap: tells of the end of a part if a callback reacts to it, else None; then nothing need be split into parts.
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self._callbacks = list(callbacks)
        timed = any(type(callback).on_lap is not Callback.on_lap for callback in self._callbacks)
        self.lap: Callable[[str], None] | None = (lambda part: self(Callback.on_lap, part)) if timed else None

    def __call__(self, event: Callable[Concatenate[Callback, P], None], *args: P.args, **options: P.kwargs) -> None:
        """Tell all callbacks of an event, a method of :class:`Callback`, with its arguments."""
        for callback in self._callbacks:
            getattr(callback, event.__name__)(*args, **options)
