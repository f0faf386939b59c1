"""Free memory."""

import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

# version of cgroups -> where they are mounted, and the file with the limit
_CGROUPS = {2: (Path("/sys/fs/cgroup"), "memory.max"), 1: (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes")}


def available_memory() -> int:
    """Return the bytes that this process can still take: the least of free memory and all limits."""
    own = psutil.Process().memory_info()
    left: list[int] = [psutil.virtual_memory().available]
    left += [limit - own.rss for limit in _cgroup_limits()]
    for kind, taken in ((resource.RLIMIT_AS, own.vms), (resource.RLIMIT_DATA, getattr(own, "data", 0))):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            left.append(limit - taken)
    return max(0, min(left))


def _cgroup_limits() -> Iterator[int]:
    """Yield the limits of the control groups that this process is in, as batch systems and containers set them."""
    groups = Path("/proc/self/cgroup")
    for line in groups.read_text(encoding="utf-8").splitlines() if groups.exists() else ():
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = _CGROUPS[1 if controllers else 2]
        inner = Path(group.lstrip("/"))
        for folder in (inner, *inner.parents):
            file = root / folder / name
            # without a limit it holds a word
            if file.is_file() and (text := file.read_text(encoding="ascii").strip()).isdecimal():
                yield int(text)
