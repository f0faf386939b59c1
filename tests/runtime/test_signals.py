"""Signals wait for what must not be cut."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pyg_nnp.runtime.signals import Stopped, deferred, stoppable


def test_signals_wait_for_what_must_not_be_cut() -> None:
    done = []

    def save() -> None:
        with deferred():
            signal.raise_signal(signal.SIGTERM)
            done.append("whole")
        done.append("never")

    with stoppable(), pytest.raises(Stopped, match="SIGTERM") as raised:
        save()
    assert done == ["whole"]
    assert raised.value.exit_status == 143


def test_a_signal_that_python_swallowed_is_not_lost() -> None:
    """An exception in a callback of the interpreter goes nowhere."""

    class Freed:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "unraisablehook", lambda unraisable: lost.append(unraisable.exc_value))
            Freed()
        lost.append("goes on")
        with deferred():
            lost.append("a step")

    lost: list[Any] = []
    with stoppable(), pytest.raises(Stopped) as raised:
        work()
    assert lost == [raised.value, "goes on", "a step"]
    with deferred():
        pass


def test_a_signal_that_python_swallowed_is_answered_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    class Freed:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work() -> None:
        with stoppable():
            Freed()
            done.append("goes on")

    done: list[str] = []
    with pytest.raises(Stopped, match="SIGTERM"):
        work()
    assert done == ["goes on"]
    assert capfd.readouterr() == ("", "")


def test_saving_after_a_signal_does_not_raise_it_again() -> None:
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            with deferred():
                saved.append("saved")
            saved.append("said")
            raise

    saved: list[str] = []
    with stoppable(), pytest.raises(Stopped):
        work()
    assert saved == ["saved", "said"]


def test_signal_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Stopped), stoppable():
        signal.raise_signal(signal.SIGINT)
    hook = sys.unraisablehook
    with stoppable(), deferred():
        pass
    assert sys.unraisablehook is hook
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    program = (
        "import signal, time\nfrom pyg_nnp.runtime.signals import deferred, stoppable\n"
        "with stoppable():\n"
        "    try:\n        signal.raise_signal(signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n"
        "        with deferred():\n            signal.raise_signal(signal.SIGINT)\n            print('saved')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == -signal.SIGINT
    assert done.stdout == b""


def test_other_threads_have_no_signals() -> None:
    def body() -> None:
        with deferred():
            seen.append(1)

    seen: list[int] = []
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [1]
