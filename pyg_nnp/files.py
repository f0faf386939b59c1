"""Files that are whole or not there: written beside, synced, verified, renamed."""

import json
import math
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EIO
from pathlib import Path
from typing import Any

# how the names of files end that are not whole yet; what a killed process leaves behind can be removed by it
PARTIAL = ".partial"


@contextmanager
def replacing(path: Path, verify: Callable[[Path], None]) -> Iterator[Path]:
    """Write a file so that at any moment, also after a crash of the machine, the old one or the whole new one is there.

    Args:
        path: of the file; its folder exists.
        verify: reads the new file before it takes the place of the old one; raises if it is not what it must be.

    Yields:
        The path to write to, in the same folder.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
    try:
        yield temporary
        sync(temporary)
        verify(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        # one that comes while writing does not know the file
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_durably(path: Path, content: bytes) -> None:
    """Write bytes to a file as :func:`replacing` does.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """

    def verify(written: Path) -> None:
        if written.read_bytes() != content:
            raise OSError(EIO, "what was written reads differently")

    with replacing(path, verify) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read, durably; what is not finite becomes null."""
    write_durably(path, (json.dumps(finite(value), indent=2, allow_nan=False) + "\n").encode())


def finite(value: Any) -> Any:
    """Return nested dicts with each number that is not finite replaced by None, as JSON needs it."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sync(path: Path) -> None:
    """Have the operating system put a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
