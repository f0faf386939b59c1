"""Text files, perhaps compressed, in any encoding that begins with a byte order mark."""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from pyg_nnp.errors import DataError

_OPEN: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, ValueError)
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LONGEST_LINE = 1 << 26  # characters
# Numbers with digits that mean something are not packed so well; beyond _SPARE bytes
_MOST_COMPRESSION, _SPARE = 100, 1 << 20


def first_bytes(path: Path, size: int = 512) -> bytes:
    """Return the beginning of a file, unpacked where it is compressed, text without a byte order mark and as UTF-8.

    Raises:
        OSError: it cannot be read.
        DataError: what is compressed is damaged.
    """
    try:
        with _opener(path)(path, "rb") as file:
            head: bytes = file.read(size)
    except (OSError, *_DAMAGE) as error:
        raise _damaged(path, error) from error
    if head.startswith(_WIDE):
        return head.decode("utf-16", errors="ignore").encode()
    return head.removeprefix(codecs.BOM_UTF8)


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed by gzip, bzip2 or xz.

    Raises:
        OSError: it cannot be read.
    """
    return _opener(path) is not open


def text_lines(path: Path) -> Generator[str]:
    """Yield the lines of a text file, with their ends.

    Raises:
        DataError: it is damaged, or would take far more memory or disk than it has bytes.
    """
    opener = _opener(path)
    most = _MOST_COMPRESSION * path.stat().st_size + _SPARE
    with path.open("rb") as file:
        head = file.read(2) if opener is open else b""
    encoding = "utf-16" if head in _WIDE else "utf-8-sig"
    try:
        with opener(path, "rt", encoding=encoding, errors="replace") as lines:
            while line := lines.readline(_LONGEST_LINE):
                most -= len(line)
                if len(line) == _LONGEST_LINE:
                    raise DataError(f"{path}: there is a line of {_LONGEST_LINE:,} characters or more.")
                if most < 0:
                    raise DataError(f"{path}: this is packed {_MOST_COMPRESSION} times; no data are packed so well.")
                yield line
    except (OSError, *_DAMAGE) as error:
        raise _damaged(path, error) from error


def _opener(path: Path) -> Callable[..., Any]:
    with path.open("rb") as file:
        head = file.read(8)
    return next((opener for magic, opener in _OPEN.items() if head.startswith(magic)), open)


def _damaged(path: Path, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None:
        return error  # of the system, not of gzip or bzip2
    return DataError(f"{path}: the compressed file is damaged, or cut short ({error}).")
