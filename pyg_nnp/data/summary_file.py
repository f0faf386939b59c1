"""The summary of a data set as it is kept beside its store.

One safetensors file for each precision: the arrays of :class:`DatasetSummary`, and in the metadata one entry,
``summary``: JSON of all else and of what the summary was made from, then ``sha256`` and the SHA-256 of that JSON
followed by the bytes of the arrays in alphabetical order.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from pyg_nnp.data.summary import Array, DatasetSummary, LazySummary, summarize
from pyg_nnp.runtime.files import locked_folder, write_durably

LAYOUT = 1
_KEY, _NUMBERS = "summary", ("precision", "fingerprint", "ranges")

log = logging.getLogger(__name__)


class KeptSummary(LazySummary):
    """The summary of all frames of a store, which is read if it is kept with the store, else made and kept.

    Args:
        folder: of the store.
        store_digest: of the content of the store.
        dtype: of the positions of the data set.
    """

    def __init__(self, folder: Path, store_digest: str, dtype: torch.dtype) -> None:
        super().__init__()
        name = str(dtype).removeprefix("torch.")
        self._path = folder / f"summary_{name}.safetensors"
        self._made_from = {"layout": LAYOUT, "store": store_digest, "dtype": name}

    def _make(self, blocks: Iterable[Mapping[str, Tensor]]) -> DatasetSummary:
        kept = _read(self._path, self._made_from)
        if kept is not None:
            return kept
        summary = summarize(blocks)
        try:
            with locked_folder(self._path.parent, log):
                write_durably(self._path, [_content(summary, self._made_from)])
        except OSError as error:
            # as in a folder of somebody else; next time it is made again
            log.info("%s: the summary of the data set is not kept: %s.", self._path, error.strerror or error)
        return summary


def _content(summary: DatasetSummary, made_from: Mapping[str, Any]) -> bytes:
    arrays = {field.name: getattr(summary, field.name) for field in fields(summary) if field.name not in _NUMBERS}
    description = json.dumps({**made_from, **{name: getattr(summary, name) for name in _NUMBERS}})
    content: bytes = save(arrays, metadata={_KEY: _stamp(description, arrays)})
    return content


def _read(path: Path, made_from: Mapping[str, Any]) -> DatasetSummary | None:
    """Return a summary that was made from this store by this version; None if there is none, or it is damaged."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            stamp = (file.metadata() or {}).get(_KEY, "")
            arrays: dict[str, Array] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        description = stamp.rpartition(" sha256 ")[0]
        if stamp != _stamp(description, arrays):
            log.info("%s is damaged; the summary of the data set is made again", path)
            return None
        known = json.loads(description)
        if {key: known[key] for key in made_from} != made_from:
            return None
        ranges = {name: tuple(numbers) for name, numbers in known["ranges"].items()}
        return DatasetSummary(**arrays, precision=known["precision"], fingerprint=known["fingerprint"], ranges=ranges)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        log.info("%s is damaged (%s); the summary of the data set is made again", path, error)
        return None


def _stamp(description: str, arrays: Mapping[str, Array]) -> str:
    """Return the one text that goes with a summary; several would be saved in any order."""
    sha = hashlib.sha256(description.encode())
    for name in sorted(arrays):
        sha.update(arrays[name].tobytes())
    return f"{description} sha256 {sha.hexdigest()}"
