"""Batches of loader processes in a program that gets a signal at an instant, and answers it as commands do.

Its arguments: the folder of a data set, the signal, ``one`` or ``all`` (who gets it: this process, or those that it has
started, too), and the instant: the number of the line, from 1 on, among those that Python runs here to start, use and
end the processes, or 0 for none. It prints its session, and how many lines there are.
"""

import multiprocessing
import os
import signal
import sys
import time
from contextlib import closing
from itertools import count
from types import FrameType
from typing import Any

import torch

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.runtime.signals import Stopped, stoppable

PLACES = ("/data/loader_processes.py", "/utils/data/dataloader.py", "/multiprocessing/")


def interrupt(number: signal.Signals, whom: str, at: int, lines: "count[int]") -> None:
    """Send a signal at a line of the main thread of this process."""
    own = os.getpid()

    def at_line(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line" and os.getpid() == own and next(lines) == at:
            sys.settrace(None)
            if whom == "one":
                os.kill(own, number)
            elif not os.fork():
                # from outside, as a terminal and a batch system send it
                os.setpgid(0, 0)
                os.killpg(own, number)
                os._exit(0)
        return at_line

    def at_call(frame: FrameType, event: str, argument: Any) -> Any:
        return at_line if any(place in frame.f_code.co_filename for place in PLACES) else None

    sys.settrace(at_call)


if __name__ == "__main__":
    folder, name, whom, at = sys.argv[1:]
    os.setsid()
    # as in a program of its own; this one is forked from a server
    multiprocessing.set_start_method("fork", force=True)
    # the processes get signals while they start
    torch.multiprocessing._set_thread_name = lambda name: time.sleep(0.5)
    print(os.getpid(), flush=True)
    lines = count(1)
    try:
        with stoppable(), closing(MoleculeDataset(folder, in_memory=False, num_workers=2)) as dataset:
            interrupt(getattr(signal, name), whom, int(at), lines)
            for _ in range(2):
                list(dataset.batches(torch.arange(8), 4))
            dataset.close()
            sys.settrace(None)
    except Stopped as stopped:
        time.sleep(0.2)  # as if it saved something, in which the end of a process would be an error
        print("Stopped.", file=sys.stderr)
        sys.exit(stopped.exit_status)
    print(next(lines) - 1)
