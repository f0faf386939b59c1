"""The events of a training, which callbacks react to."""

from collections.abc import Callable, Iterable

from pyg_nnp.training.epoch import Epoch
from pyg_nnp.training.state import TrainingState


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


class CallbackList(Callback):
    """Passes each event to several callbacks, in their order.

    Args:
        callbacks: the callbacks.

    Attributes:
        lap: :meth:`on_lap` if one of them reacts to it, else None; then nothing need be split into parts.
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self._callbacks = list(callbacks)
        timed = any(type(callback).on_lap is not Callback.on_lap for callback in self._callbacks)
        self.lap: Callable[[str], None] | None = self.on_lap if timed else None

    def on_begin(self, state: TrainingState) -> None:
        """Pass the event on."""
        for callback in self._callbacks:
            callback.on_begin(state)

    def on_lap(self, part: str) -> None:
        """Pass the event on."""
        for callback in self._callbacks:
            callback.on_lap(part)

    def on_step(self, state: TrainingState) -> None:
        """Pass the event on."""
        for callback in self._callbacks:
            callback.on_step(state)

    def on_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Pass the event on."""
        for callback in self._callbacks:
            callback.on_epoch(state, epoch)

    def on_next_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        """Pass the event on."""
        for callback in self._callbacks:
            callback.on_next_epoch(state, epoch)

    def on_interrupt(self, state: TrainingState) -> None:
        """Pass the event on."""
        for callback in self._callbacks:
            callback.on_interrupt(state)

    def on_end(self, state: TrainingState) -> None:
        """Pass the event on."""
        for callback in self._callbacks:
            callback.on_end(state)
