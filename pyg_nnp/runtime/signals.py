"""SIGTERM and Ctrl-C as exceptions, and sections of code that they do not interrupt."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end; ``exit_status`` is 130 for Ctrl-C, 143 for SIGTERM, as shells have it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_status = 128 + number


# Python ignores exceptions in some of its callbacks (when it forks, or frees something): this one may have been
_raised: Stopped | None = None


def _stop(number: int, frame: FrameType | None) -> None:
    global _raised
    # the first signal is answered by saving; a second Ctrl-C ends at once, a second SIGTERM changes nothing
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _raised = Stopped(number)
    raise _raised


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C raise :class:`Stopped` in the main thread; a signal that is ignored stays so.

    Where Python ignored the exception, it is raised again at the end of a section that is :func:`deferred`, or here.
    """
    global _raised
    ignored: list[Stopped] = []
    report = sys.unraisablehook

    def take(unraisable: "sys.UnraisableHookArgs") -> None:
        if _raised is not None and unraisable.exc_value is _raised:
            ignored.append(_raised)  # it is not lost, so nothing is printed
        else:
            report(unraisable)

    sys.unraisablehook = take
    previous = {number: signal.getsignal(number) for number in STOPPING}
    # None is a handler that is not Python's own
    previous = {number: handler for number, handler in previous.items() if handler not in (None, signal.SIG_IGN)}
    try:
        for number in previous:
            signal.signal(number, _stop)
        yield
        if ignored:
            raise ignored[0]
    finally:
        _raised, sys.unraisablehook = None, report
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def deferred() -> Iterator[None]:
    """Defer SIGTERM and Ctrl-C to the end of a section of code.

    A signal whose exception Python ignored is raised again at the end. A second Ctrl-C is not deferred.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread alone
        return
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in received:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        received.append(number)

    previous: dict[int, Any] = {number: signal.getsignal(number) for number in STOPPING}
    previous = {number: handler for number, handler in previous.items() if callable(handler)}
    for number in previous:
        signal.signal(number, receive)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
    if _raised is not None and sys.exception() is not _raised:
        raise _raised
