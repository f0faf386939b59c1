"""The number of threads: as many as this process may use, and no more than are of use."""

import math
import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import torch

_GIVEN = "OMP_NUM_THREADS"
_CGROUPS = Path("/sys/fs/cgroup")
_TRIALS = 3


def are_given() -> bool:
    """Say whether the user has set the number of threads."""
    return bool(os.environ.get(_GIVEN))


def take_allowed() -> None:
    """Let PyTorch have no more threads than this process may use; what the user has set stays."""
    if not are_given() and (allowed := allowed_processors()) < torch.get_num_threads():
        torch.set_num_threads(allowed)


def allowed_processors(groups: Path = Path("/proc/self/cgroup"), root: Path = _CGROUPS) -> int:
    """Return how many processors this process may use, by its affinity and by the quotas of its control groups."""
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
    count = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, min([count, *(math.ceil(quota) for quota in _quotas(groups, root))]))


def _quotas(groups: Path, root: Path) -> Iterator[float]:
    """Yield the processors that control groups grant, as batch systems and containers set them."""
    for line in groups.read_text(encoding="utf-8").splitlines() if groups.exists() else ():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        inner = Path(group.lstrip("/"))
        for folder in (inner, *inner.parents):
            if controllers:  # version 1
                quota, period = (_number(root / "cpu" / folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
                if quota > 0 and period > 0:
                    yield quota / period
            elif (file := root / folder / "cpu.max").is_file():
                quota_text, period_text = file.read_text(encoding="ascii").split()
                if quota_text != "max":
                    yield int(quota_text) / int(period_text)


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii")) if file.is_file() else -1


@contextmanager
def restored() -> Iterator[None]:
    """Afterwards let there be as many threads as before."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def faster_number(function: Callable[[], object]) -> tuple[int, dict[int, float]]:
    """Return whether a function is faster with one thread or with all that there are, and the median times of both [s].

    It is called several times in turn with each, so that what else the machine does meets both.
    """
    times: dict[int, list[float]] = {1: [], torch.get_num_threads(): []}
    for trial in range(1 + _TRIALS):
        for count, found in times.items():
            with restored():
                torch.set_num_threads(count)
                start = perf_counter()
                function()
                # the first of each may compile, and starts threads
                if trial:
                    found.append(perf_counter() - start)
    medians = {count: statistics.median(found) for count, found in times.items()}
    return min(medians, key=lambda count: medians[count]), medians
