"""Commands that several processes run together, as ``torchrun`` and ``srun`` start them."""

import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from programs import Program

ROOT = Path(__file__).resolve().parents[1]
TRAIN = [str(ROOT / "scripts" / "train.py"), "train.yaml"]
END = 10.0  # seconds after which no process may be left


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


class Started:
    """Python programs that run together.

    Attributes:
        processes: they, by number.
    """

    def __init__(self, folder: Path, number: int, arguments: Sequence[str]) -> None:
        together = {"WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        together |= {"OMP_NUM_THREADS": "1"}
        self.processes = [Program(arguments, folder, RANK=str(rank), **together) for rank in range(number)]

    def wait_for(self, path: Path) -> None:
        """Wait for a file that they write."""
        last = time.monotonic() + 300.0
        while not path.exists():
            assert all(process.poll() is None for process in self.processes), self.results()
            assert time.monotonic() < last
            time.sleep(0.02)

    def kill(self, number: signal.Signals, *which: int) -> None:
        """Send a signal to some of them."""
        for process in which:
            self.processes[process].send_signal(number)

    def wait_until_stopped(self, which: int) -> None:
        """Wait until a process has got SIGSTOP."""
        last = time.monotonic() + 300.0
        while psutil.Process(self.processes[which].pid).status() != psutil.STATUS_STOPPED:
            assert self.processes[which].poll() is None, self.results()
            assert time.monotonic() < last
            time.sleep(0.02)

    def results(self, limit: float = 300.0) -> tuple[list[int | None], list[str], list[str]]:
        """Return exit statuses, and what was written to standard output and to standard error, when all have ended."""
        last = time.monotonic() + limit
        try:
            texts = [process.communicate(timeout=max(last - time.monotonic(), 0.1)) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        return [p.returncode for p in self.processes], [out for out, _ in texts], [err for _, err in texts]


def run_together(folder: Path, number: int, *arguments: str) -> list[str]:
    """Run a program in several processes, of which none may fail, and return what each wrote to standard output."""
    statuses, out, err = Started(folder, number, arguments).results()
    assert statuses == [0] * number, err
    return out
