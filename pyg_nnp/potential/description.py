"""The description in the file of a potential: JSON in the header of a safetensors file, with a digest of the file.

It is read without PyTorch, which takes seconds to import.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pyg_nnp.errors import DataError

FORMAT = 1
KEY = "potential"
"""Entry of the header of a safetensors file that holds the description."""
BEST, LAST = "best.safetensors", "last.safetensors"
_MOST_NAMED = 5


def read_description(path: Path) -> dict[str, Any]:
    """Return the description of a saved potential, after a check of the digest of the whole file.

    Raises:
        DataError: there is no such file, or it is damaged, or another one than its name says, or of another format.
    """
    return parse(path, read_content(path))


def read_content(path: Path) -> bytes:
    """Return the bytes of the file of a potential; that there is none is a :class:`DataError`."""
    if not path.is_file():
        near = ", ".join(str(found.parent) for found in sorted(path.parent.glob(f"*/{BEST}"))[:_MOST_NAMED])
        instead = f" In {path.parent} there are: {near}." if near else ""
        raise DataError(
            f"{path}: no potential here, seen from '{Path.cwd()}'. Name the folder of a trained model, or a file in "
            f"it.{instead}"
        )
    return path.read_bytes()


def parse(path: Path, content: bytes) -> dict[str, Any]:
    """Return the description in the bytes of a file, checked as :func:`read_description` does."""
    try:
        description: dict[str, Any] = json.loads(_header(content)["__metadata__"][KEY])
        is_damaged = description["sha256"] != digest_of(content)
        found, name = description["format"], description["name"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    if is_damaged:
        raise damaged(path, "its content is not what was written")
    if found != FORMAT:
        raise DataError(
            f"{path}: format {found} of a potential is not known to this version of pyg_nnp, which reads format "
            f"{FORMAT}. Use a version like that which wrote it, {description.get('version')}."
        )
    if path.name in (BEST, LAST) and path.name != name:
        raise DataError(f"{path}: this was saved as {name}. Put the right file in its place.")
    return description


def digest_of(content: bytes) -> str:
    """Return the hash of all that the file says, but for the hash itself."""
    header = _header(content)
    description = json.loads(header["__metadata__"][KEY])
    description.pop("sha256", None)
    header["__metadata__"] = description
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(memoryview(content)[8 + _length_of_header(content) :])
    return digest.hexdigest()


def damaged(path: Path, reason: str) -> DataError:
    """Return the error of a file that is not what was written."""
    return DataError(f"{path}: the saved potential is damaged: {reason}. Use another copy of it.")


def _header(content: bytes) -> Any:
    return json.loads(content[8 : 8 + _length_of_header(content)])


def _length_of_header(content: bytes) -> int:
    return int.from_bytes(content[:8], "little")
