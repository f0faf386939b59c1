"""What the last bits of results depend on besides data and configuration, and what has changed in it."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import torch

from pyg_nnp.runtime import processes, threads


def environment(device: torch.device) -> dict[str, Any]:
    """Return device, threads and versions, which the last bits of results depend on."""
    of_several = {"processes": processes.count()} if processes.count() > 1 else {}
    return {
        **of_several,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "pyg-nnp": version("pyg-nnp"),
        "torch": torch.__version__,
    }


def changes(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """Yield a message for each value that changed between two nested dicts."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in {**before, **now}:
            yield from changes(before.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif before != now:
        yield f"{key} was {before} and is {now}"


def take_threads(saved: Mapping[str, Any]) -> None:
    """Take the number of threads of a saved environment, if there are so many and the user has set none."""
    number = saved.get("threads", 0)
    if not threads.are_given() and 0 < number < torch.get_num_threads():
        torch.set_num_threads(number)
