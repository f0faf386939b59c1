"""``train`` in one of several processes, which sends itself a signal, or has an error, at a step.

Its arguments: the number of the process, the signal, ``memory``, ``disk`` (from then on full) or ``late`` (stopped with
SIGSTOP in the error of the step), the step from 1 on, and those of ``train``.
"""

import os
import resource
import signal
import sys
from typing import Any

from pyg_nnp.commands import cli
from pyg_nnp.runtime import processes
from pyg_nnp.training import fit

if __name__ == "__main__":
    number, what, at, *arguments = sys.argv[1:]
    original, calls = fit.take_step, 0

    def stopped(*given: Any, **options: Any) -> None:
        global calls
        calls += 1
        if processes.number() == int(number) and calls == int(at):
            if what == "late":
                try:
                    original(*given, **options)
                finally:
                    os.kill(os.getpid(), signal.SIGSTOP)
            if what == "memory":
                raise MemoryError
            if what == "disk":
                resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
            else:
                os.kill(os.getpid(), getattr(signal, what))
        original(*given, **options)

    fit.take_step = stopped  # type: ignore[attr-defined]
    sys.exit(cli.main(["train", *arguments]))
