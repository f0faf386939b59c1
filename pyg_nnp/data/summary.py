"""What is known of all frames of a data set after one pass over them, kept beside its store.

The file is a safetensors file for each precision: the arrays of :class:`DatasetSummary`, and in the metadata one entry,
``summary``: JSON of all else, of what it was made from, and of the SHA-256 of each array, then ``sha256`` and its own.
"""

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pyg_nnp.data import descriptors
from pyg_nnp.data.array_files import GrowingArray, array_of_safetensors, pieces_of_safetensors
from pyg_nnp.data.descriptors import NUMBER_OF_ELEMENTS, Array
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS, TARGETS
from pyg_nnp.functional.composition import formula
from pyg_nnp.functional.geometry import offsets
from pyg_nnp.runtime.files import locked_folder, stamp, write_durably

LAYOUT = 4
MAX_PAIRS = 4_000_000
"""Pairs of atoms that are in memory at once."""

_SMALL = 1 << 26  # bytes of a file that are read at once
_AT_ONCE = 100_000  # frames whose shortest distances are copied at once
_NUMBERS = ("precision", "fingerprint", "ranges")
_LARGEST = ("shape", "pair_keys", "pair_distances")  # of a large summary not kept in memory: each is of use once
_OF_LABELS = ("E", "largest_force", "net_force", "charge_error", "weight")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatasetSummary:
    """What is known of n frames.

    Attributes:
        elements: (K,) atomic numbers that occur, in ascending order.
        sizes: (n,) number of atoms of each frame.
        periodic: (n,) number of periodic directions.
        counts: (n, K) number of atoms of each element.
        order: (n,) uint64 key, the same for frames with the same elements in the same order.
        shape: (n, 10) lengths and sums that frames share which differ by motion, reflection and the order of like
            atoms; see :func:`pyg_nnp.data.descriptors.shape_invariants`.
        Q: (n,) total charges.
        E: (n,) energies; empty without energies. What is missing in a frame is NaN here and in the next three.
        largest_force: (n,) length of the largest force on an atom; empty without forces.
        net_force: (n,) length of the sum of all forces; empty without forces.
        charge_error: (n,) sum of the atomic charges minus ``Q``; empty without atomic charges.
        missing: (n, T) how many numbers of each target, in the order of ``TARGETS``, each frame lacks; see
            :mod:`pyg_nnp.data.labels`.
        weight: (n,) weight of each frame in the loss; empty if frames have none.
        pair_counts: (n,) number of different pairs of elements in each frame.
        pair_keys: (M,) these pairs, frame by frame; see :func:`pyg_nnp.data.descriptors.elements_of`.
        pair_distances: (M,) shortest distance of each of these pairs.
        precision: by how much ``shape`` may differ for no other reason than the precision of positions.
        fingerprint: digest of elements and positions of all frames in their order, in the precision of the data set.
        ranges: field -> minimum, maximum and mean of all its numbers that are not missing.
    """

    elements: Array
    sizes: Array
    periodic: Array
    counts: Array
    order: Array
    shape: Array
    Q: Array
    E: Array
    largest_force: Array
    net_force: Array
    charge_error: Array
    missing: Array
    weight: Array
    pair_counts: Array
    pair_keys: Array
    pair_distances: Array
    precision: float
    fingerprint: str
    ranges: dict[str, tuple[float, float, float]]

    @property
    def molecules(self) -> Array:
        """(n,) numbers that are the same for frames with the same elements in the same order, and the same charge."""
        # one number for both, since rows of two take several times longer to sort
        keys = self.order ^ (self.Q.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        return np.unique(keys, return_inverse=True)[1].reshape(-1)

    @property
    def has_energy(self) -> Array:
        """(n,) whether each frame has an energy that counts in the loss; empty without energies."""
        found: Array = np.isfinite(self.E)
        return found & (self.weight > 0) if len(self.E) and len(self.weight) else found

    def charges_in(self, frames: Tensor) -> list[float]:
        """Return the total charges of some frames, (g,), in ascending order."""
        found: list[float] = np.unique(self.Q[frames.numpy()]).tolist()
        return found

    def compositions_in(self, frames: Tensor) -> list[str]:
        """Return the formulas of some frames, (g,), in alphabetical order, those of periodic ones reduced."""
        different, _ = descriptors.unique_rows(np.column_stack((self.counts, self.periodic > 0))[frames.numpy()])
        return sorted({formula(np.repeat(self.elements, row[:-1]).tolist(), bool(row[-1])) for row in different})

    def elements_in(self, frames: Tensor) -> list[int]:
        """Return the atomic numbers that occur in some frames, (g,), in ascending order."""
        found: list[int] = self.elements[self.counts[frames.numpy()].any(axis=0)].tolist()
        return found

    def shortest_distances(self, frames: Tensor) -> dict[tuple[int, int], float]:
        """Return the shortest distance of each two elements in some frames, (g,), by their atomic numbers."""
        chosen = np.zeros(len(self.sizes), dtype=bool)
        chosen[frames.numpy()] = True
        keys, distances, end = self.pair_keys, self.pair_distances, 0
        shortest = np.full(NUMBER_OF_ELEMENTS**2, np.inf, dtype=distances.dtype)
        for first in range(0, len(chosen), _AT_ONCE):
            of_frames = slice(first, first + _AT_ONCE)
            rows = np.repeat(chosen[of_frames], self.pair_counts[of_frames])
            of_pairs = slice(end, end := end + len(rows))
            np.minimum.at(shortest, keys[of_pairs][rows], distances[of_pairs][rows])
        found = np.flatnonzero(np.isfinite(shortest)).tolist()
        return {descriptors.elements_of(key): float(shortest[key]) for key in found}


class _KeptSummary(DatasetSummary):
    """A summary in a file, of which an array is read, and compared with its digest, when it is first asked for."""

    def __init__(self, path: Path, digests: Mapping[str, str], numbers: Mapping[str, Any]) -> None:
        # the base is frozen
        self.__dict__.update(numbers, _path=path, _digests=digests)

    def __getattr__(self, name: str) -> Array:
        digests = self.__dict__.get("_digests", {})
        if name not in digests:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        array: Array = array_of_safetensors(self.__dict__["_path"], name)
        if _digest(array) != digests[name]:
            raise DataError(f"{self._path} is damaged. Delete it; it is made again from the store.")
        if name not in _LARGEST or array.nbytes <= _SMALL:
            self.__dict__[name] = array
        return array


def summarize(blocks: Iterable[Mapping[str, Tensor]]) -> DatasetSummary:
    """Look at all frames once, as :meth:`pyg_nnp.data.MoleculeDataset.blocks` yields them."""
    arrays = defaultdict[str, GrowingArray](GrowingArray)
    spans: dict[str, list[tuple[float, float, float, int]]] = {}
    counts: list[tuple[Array, Array]] = []  # elements (k,), and how many atoms of each a frame has (g, k)
    positions, rounding = hashlib.sha256(), 0.0
    for block in blocks:
        block = {name: values.cpu() for name, values in block.items()}
        precision = block["Q"].dtype
        for values in (block["N"], block["Za"], block["Ra"].to(precision)):
            positions.update(values.numpy().tobytes())
        for piece in _pieces(block):
            for name, rows in descriptors.describe_frames(piece).items():
                arrays[name].append(rows)
            for name, values in piece.items():
                numbers = values[~torch.isnan(values)]
                if len(numbers):
                    low, high = numbers.aminmax()
                    total = float(numbers.sum(dtype=torch.float64))
                    spans.setdefault(name, []).append((float(low), float(high), total, len(numbers)))
            counts.append(descriptors.count_elements(piece))
            rounding = max(rounding, torch.finfo(precision).eps * float(piece["Ra"].abs().max()))
    elements = np.unique(np.concatenate([found for found, _ in counts]))
    return DatasetSummary(
        elements=elements,
        counts=descriptors.join_counts(elements, counts),
        precision=1e-6 + 8 * rounding,
        fingerprint=positions.hexdigest(),
        ranges={name: _span(parts) for name, parts in spans.items()},
        **dict.fromkeys(_OF_LABELS, np.zeros(0)) | {name: array.rows for name, array in arrays.items()},
    )


def kept_summary(
    folder: Path, store_digest: str, dtype: torch.dtype, blocks: Iterable[Mapping[str, Tensor]]
) -> DatasetSummary:
    """Return the summary of all frames of a store, which is read if it is kept there, else made and kept."""
    name = str(dtype).removeprefix("torch.")
    path = folder / f"summary_{name}.safetensors"
    made_from = {"by": [LAYOUT, version("pyg-nnp")], "store": store_digest, "dtype": name, "targets": list(TARGETS)}
    if path.is_file() and (kept := _read(path, made_from)) is not None:
        return kept
    summary = summarize(blocks)
    arrays = {name: value for name, value in vars(summary).items() if name not in _NUMBERS}
    digests = {name: _digest(array) for name, array in arrays.items()}
    numbers = {name: getattr(summary, name) for name in _NUMBERS}
    description = stamp(json.dumps({**made_from, **numbers, "sha256": digests}), ())
    try:
        with locked_folder(folder):
            write_durably(path, pieces_of_safetensors(arrays, {"summary": description}))
    except OSError as error:
        # as in a folder of somebody else; next time it is made again
        log.info("%s: the summary of the data set is not kept: %s.", path, error.strerror or error)
        return summary
    # from now on memory holds the arrays that are asked for
    return _read(path, made_from) or summary


def _read(path: Path, made_from: Mapping[str, Any]) -> DatasetSummary | None:
    """Return a summary that was made from this store by this version; None if there is none, or it is damaged."""
    try:
        with safe_open(path, framework="np") as file:
            found = (file.metadata() or {}).get("summary", "")
        if found != stamp(description := found.rpartition(" sha256 ")[0], ()):
            log.info("%s is damaged; the summary of the data set is made again", path)
            return None
        known = json.loads(description)
        if {key: known.get(key) for key in made_from} != made_from:
            return None
        known["ranges"] = {name: tuple(numbers) for name, numbers in known["ranges"].items()}
        kept = _KeptSummary(path, known["sha256"], {name: known[name] for name in _NUMBERS})
        if path.stat().st_size <= _SMALL:
            for name in known["sha256"]:
                getattr(kept, name)
        return kept
    except (DataError, SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        log.info("%s is damaged (%s); the summary of the data set is made again", path, error)
        return None


def _digest(array: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _pieces(block: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Cut a block into runs of frames with at most :data:`MAX_PAIRS` pairs of atoms."""
    ptr = offsets(block["N"]).tolist()
    num_frames, at_once = len(block["N"]), max(1, MAX_PAIRS // int(block["N"].max()) ** 2)
    for first in range(0, num_frames, at_once):
        last = min(first + at_once, num_frames)
        places = {"graph": slice(first, last), "atom": slice(ptr[first], ptr[last])}
        yield {name: rows[places[FIELDS[name].level]] for name, rows in block.items()}


def _span(parts: list[tuple[float, float, float, int]]) -> tuple[float, float, float]:
    lows, highs, totals, numbers = zip(*parts, strict=True)
    return min(lows), max(highs), sum(totals) / sum(numbers)
