"""Data files: text that may be compressed, in any encoding that begins with a byte order mark; folders of files."""

import bz2
import codecs
import gzip
import io
import logging
import lzma
import os
import re
import zlib
from collections.abc import Callable, Generator
from io import BufferedReader
from pathlib import Path
from typing import Any

from pyg_nnp.errors import DataError
from pyg_nnp.runtime.data_path import DataPath, in_natural_order

log = logging.getLogger(__name__)

_NAMES_SHOWN = 5
# beside the databases of fairchem, and not data of their own
_BESIDE = re.compile(r"metadata\.npz|.*[.-]lock|lock\.mdb")
_OF_DEEPMD = "type.raw"
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


def named_files(
    path: Path | DataPath,
    format_of_file: Callable[[Path], str | None],
    data_format: str | None = None,
    *,
    tell: bool = False,
) -> list[Path]:
    """Return the files that a path or several name, those of folders as :func:`files_of_folder` has them.

    Raises:
        DataError: a file is there twice, or a folder does not have files of one format.
    """
    files: dict[Path, None] = {}
    for one in DataPath.of(path).expanded():
        for file in files_of_folder(one, format_of_file, data_format, tell=tell) if os.path.isdir(one) else [one]:
            if file in files:
                raise DataError(f"{path}: {file} is there twice. Name each file once, or by one pattern alone.")
            files[file] = None
    return [*files]


def files_of_folder(
    folder: Path, format_of_file: Callable[[Path], str | None], data_format: str | None = None, *, tell: bool = False
) -> list[Path]:
    """Return the data files of one format in a folder, in the order of their names: numbers in them count as numbers.

    Args:
        folder: what is in its folders is not looked at.
        format_of_file: returns the format that a file seems to be of, None for no data file.
        data_format: the format; None where there is one only.
        tell: whether the log says what is left out.

    Raises:
        DataError: there is no file of the format, or of more than one.
    """
    if (folder / _OF_DEEPMD).exists():
        instead = "Save its arrays in one npz, positions and forces as (frames, atoms, 3), and symbols of the elements"
        raise DataError(f"{folder}: this is a folder of DeePMD-kit, which is not read. {instead}.")
    paths = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    ordered = in_natural_order(paths)
    formats = {path: None if _BESIDE.fullmatch(path.name) else format_of_file(path) for path in ordered}
    found = dict.fromkeys(name for name in formats.values() if name)
    chosen = data_format if data_format in found else next(iter(found), None)
    if chosen is None:
        has = ", ".join(sorted(path.name for path in folder.iterdir())[:_NAMES_SHOWN]) or "nothing"
        raise DataError(f"{folder}: there are no data files of a known format in this folder. It has: {has}.")
    if data_format is None and len(found) > 1:
        what = f"the data files in this folder are of several formats: {', '.join(found)}"
        raise DataError(f"{folder}: {what}. Name one file, or move those of one format into a folder.")
    chosen_files = [path for path, name in formats.items() if name == chosen]
    if tell:
        log.info("%s: %d files of the format %s are read.", folder, len(chosen_files), chosen)
        data = [path.name for path, name in formats.items() if name not in (None, chosen)]
        other = [path.name for path, name in formats.items() if name is None]
        for level, names in ((logging.WARNING, data), (logging.INFO, other)):
            if names:
                more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
                shown = ", ".join(names[:_NAMES_SHOWN])
                log.log(level, "%s: not of the format %s, and not read: %s%s.", folder, chosen, shown, more)
    return chosen_files
