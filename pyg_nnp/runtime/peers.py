"""The watch over the processes that work together: what ends one of them ends all of them."""

import json
import logging
import os
import signal
import socket
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import psutil
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from pyg_nnp.runtime.launch import Launch

log = logging.getLogger(__name__)

_BEAT = 0.3  # seconds between two looks
_SILENT = (
    120.0  # seconds without a sign of life, after which a process counts as lost; one that ends is noticed at once
)
_START = 600.0  # seconds that processes may take to start
_ANSWER = 10.0  # seconds that a process that may be alive has to answer when all are to end
_SET_UP = timedelta(seconds=_START)


class Failure(NamedTuple):
    """What ends all processes."""

    number: int  # of the process that it came from
    status: int  # exit status
    text: str


def connect(launch: Launch, serve: bool = False) -> Store:
    """Connect to the key-value store of the processes, which the first one serves where the launcher does not."""
    store = TCPStore(launch.address, launch.port, None, serve, _SET_UP, wait_for_workers=False)
    return PrefixStore(f"pyg_nnp/{launch.attempt}", store)


class Watch(threading.Thread):
    """Shows the other processes that this one is alive, and stops it as SIGTERM does when another one has failed.

    Attributes:
        failure: of another process, or None.
    """

    def __init__(self, launch: Launch, serves: bool = False) -> None:
        super().__init__(name="watch", daemon=True)
        self._launch, self._store, self._serves = launch, connect(launch), serves
        self._others = [number for number in range(launch.count) if number != launch.number]
        self.failure: Failure | None = None
        self._beats, self._stopped, self._is_ending, self._is_cut_off = 0, threading.Event(), False, False
        # the first process looks at all of them, the others at it
        looked_at = range(1, launch.count) if launch.number == 0 else [0]
        self._seen: dict[int, tuple[bytes, float]] = {number: (b"", monotonic() + _START) for number in looked_at}

    def run(self) -> None:
        """Look until :meth:`stop`."""
        while not self._stopped.wait(_BEAT):
            try:
                self._look()
            except RuntimeError as error:
                # whoever served the store is gone, which is no news after a failure
                if self.failure is None:
                    self._is_cut_off = True
                    reason = f"the first process cannot be reached any more ({_first_line(error)})"
                    self._stop_this(Failure(0, 2, reason))
                return

    def wait_for_start(self) -> list[int]:
        """Wait until all processes have started, and return those that have not in time."""
        last, everyone = monotonic() + _START, range(self._launch.count)
        self._store.set(f"here/{self._launch.number}", json.dumps([_machine(), os.getpid()]))
        while not self._store.check([f"here/{number}" for number in everyone]):
            if monotonic() > last:
                return [number for number in everyone if not self._store.check([f"here/{number}"])]
            sleep(_BEAT / 6)
        return []

    def stop(self) -> None:
        """End the watch.

        The process that serves the store stays until the others have left it: its end would look like a loss to them,
        and they could not ask which of them was the first to fail.
        """
        self._stopped.set()
        self.join()
        with suppress(RuntimeError):
            self._store.set(f"left/{self._launch.number}", "")
            if self._serves:
                self._wait_for("left")

    def fail(self, status: int, text: str) -> bool:
        """Let all processes end, and say whether this one was the first to fail, which is to say why."""
        self._is_ending = True
        if self.failure is not None:
            # another one has said why, and may have ended since; or the first is gone, and nobody can be asked
            return self._is_cut_off and self._launch.number == 1
        own = json.dumps([self._launch.number, status, text])
        try:
            is_first = bool(self._store.compare_set("failure", "", own) == own.encode())
            self._store.set(f"told/{self._launch.number}", "")
            return is_first
        except RuntimeError:
            return self._launch.number <= 1

    def lost(self) -> list[int]:
        """Return the processes that do not answer when all are to end."""
        try:
            lost = self._wait_for("told")
        except RuntimeError:
            return [0]
        self._others = [number for number in self._others if number not in lost]
        return lost

    def _wait_for(self, key: str) -> list[int]:
        """Wait until the other processes have set a key; return those that were killed before, or take too long."""
        last, missing = monotonic() + _ANSWER, self._others
        while missing:
            # first, since a process may set the key and end
            have_ended = monotonic() > last or all(map(self._has_ended, missing))
            missing = [number for number in missing if not self._store.check([f"{key}/{number}"])]
            if have_ended:
                break
            sleep(_BEAT / 3)
        return missing

    def _has_ended(self, number: int) -> bool:
        """Return whether a process is known to have ended: of those of other machines nothing is."""
        if not self._store.check([f"here/{number}"]):
            return False
        machine, pid = json.loads(self._store.get(f"here/{number}"))
        try:
            return bool(machine == _machine() and psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    def _look(self) -> None:
        store, number = self._store, self._launch.number
        self._beats += 1
        store.set(f"beat/{number}", str(self._beats))
        if self.failure is None and store.check(["failure"]):
            self._stop_this(Failure(*json.loads(store.get("failure"))))
            store.set(f"told/{number}", "")
        if self._beats % 10 == 0 and self.failure is None:
            self._look_for_silent_ones()

    def _look_for_silent_ones(self) -> None:
        now = monotonic()
        for number, (before, since) in self._seen.items():
            beat = self._store.get(f"beat/{number}") if self._store.check([f"beat/{number}"]) else b""
            if beat != before:
                self._seen[number] = beat, now
            elif now - since > _SILENT:
                own = [number, 2, f"process {number} has not shown a sign of life for {_SILENT:g} s"]
                self._store.compare_set("failure", "", json.dumps(own))

    def _stop_this(self, failure: Failure) -> None:
        self.failure = failure
        if not self._is_ending:
            log.debug("Process %d ended, and so do all: %s", failure.number, failure.text)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _machine() -> str:
    """Return what processes have in common that see each other's numbers: two containers of a machine do not."""
    numbers = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()} {numbers.readlink() if numbers.is_symlink() else ''}"
