"""Training steps beside a process that keeps one processor busy: with one thread, with all, and with what is chosen.

python benchmarks/threads.py --repeats 15
taskset -c 1 python benchmarks/threads.py --repeats 15

The number of threads is chosen as at the start of a training, and waiting threads spin as briefly as those of commands.
Linux only, for affinity.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # read when PyTorch is imported

import argparse
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from time import perf_counter

import torch
from common import Ours
from rich.console import Console
from rich.table import Table
from steps import cases

from pyg_nnp.runtime import threads


@contextmanager
def busy_process(processor: int) -> Iterator[None]:
    """Keep a processor busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        os.sched_setaffinity(process.pid, {processor})
        try:
            yield
        finally:
            process.kill()


def medians(step: partial[object], counts: set[int], repeats: int) -> dict[int, float]:
    """Return the median time of a step [ms] by the number of threads, taken in turn."""
    times: dict[int, list[float]] = {count: [] for count in sorted(counts)}
    for _ in range(repeats):
        for count, found in times.items():
            torch.set_num_threads(count)
            step()  # one that follows another number is not counted
            start = perf_counter()
            step()
            found.append(1e3 * (perf_counter() - start))
    return {count: statistics.median(found) for count, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--small", action="store_true", help="only try whether everything works")
    arguments = parser.parse_args()
    threads.take_allowed()
    most = torch.get_num_threads()
    table = Table("batch", "busy process", "1 thread [ms]", f"{most} [ms]", "chosen", "chosen / 1", "load")
    ours = Ours("cpu")
    for name, frames in cases(arguments.small, "cpu").items():
        step = partial(ours.step, ours.batch(frames))
        for is_busy in (False, True):
            with busy_process(0) if is_busy else nullcontext():
                torch.set_num_threads(most)
                chosen = threads.faster_number(step)[0] if most > 1 else 1
                found = medians(step, {1, most}, arguments.repeats)
            figures = f"{found[1]:.0f}", f"{found[most]:.0f}", str(chosen), f"{found[chosen] / found[1]:.2f}"
            table.add_row(name, "yes" if is_busy else "no", *figures, f"{os.getloadavg()[0]:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
