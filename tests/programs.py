"""Python programs in processes of their own that begin with what takes seconds to import, and has not been used.

They are forked from a server, which is started once. What a program sees is as if it had been started by itself, but
for variables of the environment that are read when Python, PyTorch or numba are loaded.
"""

import os
import runpy
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from signal import Signals
from types import ModuleType

_FORKSERVER = get_context("forkserver")
_FORKSERVER.set_forkserver_preload(
    ["pyg_nnp.commands.train", "torch_geometric.nn.models", "scipy.spatial.transform", "torch.distributed"]
)


class Program:
    """A running program; names are those of ``subprocess.Popen``.

    Args:
        arguments: a file, or ``-c`` and a program, and its arguments.
        folder: its working directory.
        environment: changes of this process's environment.
    """

    def __init__(self, arguments: Sequence[str], folder: Path | None = None, **environment: str) -> None:
        self._outputs = Path(tempfile.mkdtemp())
        given = (list(arguments), folder or Path.cwd(), os.environ | environment, self._outputs)
        self._process = _FORKSERVER.Process(target=_run, args=given)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """Its exit status, or minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def communicate(self, timeout: float = 300.0) -> tuple[str, str]:
        """Wait for its end and return what it wrote to standard output and standard error."""
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"the program runs longer than {timeout:.0f} s")
        out, err = ((self._outputs / name).read_text() for name in ("stdout", "stderr"))
        shutil.rmtree(self._outputs)
        return out, err

    def wait_for(self, path: Path, limit: float = 300.0) -> None:
        """Wait for a file that it writes."""
        last = time.monotonic() + limit
        while not path.exists():
            assert self.poll() is None, self.communicate()
            assert time.monotonic() < last
            time.sleep(0.02)


def run(arguments: Sequence[str], folder: Path | None = None, **environment: str) -> tuple[int | None, str, str]:
    """Run a program and return its exit status and what it wrote to standard output and standard error."""
    program = Program(arguments, folder, **environment)
    out, err = program.communicate()
    return program.returncode, out, err


def _run(arguments: list[str], folder: Path, environment: Mapping[str, str], outputs: Path) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for name in ("stdout", "stderr"):
        with (outputs / name).open("w") as file:
            os.dup2(file.fileno(), getattr(sys, name).fileno())
    program, *sys.argv = arguments
    if program == "-c":
        code, sys.argv[0] = sys.argv[0], program
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(code, vars(main))
    else:
        sys.argv.insert(0, program)
        sys.path.insert(0, str(Path(program).parent))
        runpy.run_path(program, run_name="__main__")
