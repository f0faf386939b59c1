"""Logging: the log file of a run, messages on the terminal, progress bars."""

import logging
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pyg_nnp.errors import UserError
from pyg_nnp.runtime import processes

ROOT = logging.getLogger("pyg_nnp")
NOTICE = (logging.INFO + logging.WARNING) // 2
"""Level of what is not wrong, but said also where there is little to say."""
VERSIONS = ("pyg-nnp", "torch", "torch-geometric", "numpy", "h5py", "ase", "safetensors")


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console, level: int) -> None:
        super().__init__(level)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        mark = "WARNING: " if record.levelno >= logging.WARNING else ""
        self.console.print(f"{mark}{self.format(record)}", soft_wrap=True, markup=False, highlight=False)


class _LogFile(logging.FileHandler):
    """A log file; if it cannot be written any more, a warning says so once, and the run goes on without it."""

    def handleError(self, record: logging.LogRecord) -> None:
        ROOT.removeHandler(self)
        ROOT.warning("%s ends here, it cannot be written to any more: %s.", self.baseFilename, sys.exc_info()[1])

    def close(self) -> None:
        # closing tries once more to write what could not be written before
        with suppress(OSError):
            super().close()


@contextmanager
def run_log(folder: Path) -> Iterator[Console]:
    """Send the package's messages to a new log file in ``folder`` and to the terminal; yield its console.

    Of several processes the first one does so.
    """
    if processes.number() > 0:
        with terminal_log() as console:
            yield console
        return
    folder.mkdir(parents=True, exist_ok=True)
    file = _LogFile(_new_file(folder), encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s  %(levelname)-7s  %(message)s"))
    with terminal_log(file) as console:
        yield console


@contextmanager
def terminal_log(*more: logging.Handler, level: int = logging.INFO) -> Iterator[Console]:
    """Send the package's messages to the terminal and to other handlers, closed at the end; yield the console."""
    console = Console(stderr=True, quiet=processes.number() > 0)
    handlers = [*more, _ConsoleHandler(console, level)]
    level, propagate = ROOT.level, ROOT.propagate
    ROOT.setLevel(logging.DEBUG)
    ROOT.propagate = False
    for handler in handlers:
        ROOT.addHandler(handler)
    try:
        yield console
    finally:
        for handler in handlers:
            ROOT.removeHandler(handler)
            handler.close()
        ROOT.setLevel(level)
        ROOT.propagate = propagate


@contextmanager
def warnings_logged() -> Iterator[None]:
    """Let warnings, such as of charges that training did not have, be messages of the run, without lines of code."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: ROOT.warning("%s", message)
        yield


def _new_file(folder: Path) -> Path:
    """Return a name that no earlier run has, even one of the same second."""
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for attempt in range(1, 1000):
        path = folder / (f"{stamp}.log" if attempt == 1 else f"{stamp}_{attempt}.log")
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{folder} has a thousand logs of {stamp}.")


def versions_by_name() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on, by name."""
    return {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}}


def versions() -> str:
    """Return the versions of Python and of the packages that results depend on."""
    return ", ".join(f"{name} {number}" for name, number in versions_by_name().items())


class _WarningList(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def kept_warnings() -> Iterator[list[str]]:
    """Yield the texts of the package's warnings, so far."""
    kept = _WarningList()
    ROOT.addHandler(kept)
    try:
        yield kept.texts
    finally:
        ROOT.removeHandler(kept)


def progress_bar(console: Console, *columns: ProgressColumn) -> Progress:
    """Return a progress bar, which is not shown where the console is no terminal."""
    return Progress(*columns, console=console, disable=console.quiet or not console.is_terminal, transient=True)


def time_columns() -> tuple[ProgressColumn, ...]:
    """Return the columns of a task of known length: elapsed and remaining time."""
    return TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()


@contextmanager
def final_error_logged() -> Iterator[None]:
    """Write the error that ends a run to its log file."""
    try:
        yield
    except UserError as error:
        ROOT.debug("Stopped: %s: %s", type(error).__name__, error)
        raise
    except KeyboardInterrupt:
        ROOT.debug("Stopped: interrupted.")
        raise
    except BaseException:
        ROOT.debug("Stopped by an error outside of the configuration and the data:", exc_info=True)
        raise
