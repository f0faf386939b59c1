"""Text files, perhaps compressed, in any encoding that begins with a byte order mark."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Generator
from io import BufferedReader
from pathlib import Path
from typing import Any

from pyg_nnp.errors import DataError

_OPEN: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, ValueError)
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LONGEST_LINE = 1 << 26  # characters
# Numbers with digits that mean something are not packed so well; beyond _SPARE bytes
_MOST_COMPRESSION, _SPARE = 30, 1 << 17


def first_bytes(path: Path, size: int = 512) -> bytes:
    """Return the beginning of a file, unpacked where it is compressed, text without a byte order mark and as UTF-8.

    Raises:
        OSError: it cannot be read.
        DataError: what is compressed is damaged.
    """
    try:
        with path.open("rb") as packed:
            head: bytes = _unpacked(packed).read(size)
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
    with path.open("rb") as packed:
        return _unpacked(packed) is not packed


def text_lines(path: Path) -> Generator[str]:
    """Yield the lines of a text file, with their ends.

    Raises:
        DataError: it is damaged, or would take far more memory or disk than it has bytes.
    """
    length = 0
    try:
        with path.open("rb") as packed, _unpacked(packed) as stream:
            encoding = "utf-16" if stream.peek(2)[:2] in _WIDE else "utf-8-sig"
            lines = io.TextIOWrapper(stream, encoding, errors="replace")
            while line := lines.readline(_LONGEST_LINE):
                length += len(line)
                if len(line) == _LONGEST_LINE:
                    raise DataError(f"{path}: there is a line of {_LONGEST_LINE:,} characters or more.")
                if stream is not packed and length > _MOST_COMPRESSION * packed.tell() + _SPARE:
                    raise DataError(f"{path}: this is packed {_MOST_COMPRESSION} times; no data are packed so well.")
                yield line
    except (OSError, *_DAMAGE) as error:
        raise _damaged(path, error) from error


def _unpacked(packed: BufferedReader) -> Any:
    """Return a stream of what is in a file, which is the file itself where it is not compressed."""
    head = packed.peek(8)
    return next((opened(packed, "rb") for magic, opened in _OPEN.items() if head.startswith(magic)), packed)


def _damaged(path: Path, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None:
        return error  # of the system, not of gzip or bzip2
    return DataError(f"{path}: the compressed file is damaged, or cut short ({error}).")
