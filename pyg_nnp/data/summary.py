"""What is known of all frames of a data set after one pass over them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyg_nnp.data.descriptors import (
    NUMBER_OF_ELEMENTS,
    elements_of,
    order_keys,
    shape_invariants,
    shortest_in_frames,
    sums,
)
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.geometry import formula, offsets

Array = NDArray[Any]

MAX_PAIRS = 4_000_000
"""Pairs of atoms that are in memory at once."""

_PER_FRAME = ("sizes", "order", "shape", "Q", "E", "largest_force", "net_force", "charge_error")
_PER_PAIR = ("pair_counts", "pair_keys", "pair_distances")
_NOTHING = np.zeros(0)


@dataclass(frozen=True)
class DatasetSummary:
    """What is known of n frames.

    Attributes:
        elements: (K,) atomic numbers that occur, in ascending order.
        sizes: (n,) number of atoms of each frame.
        counts: (n, K) number of atoms of each element.
        order: (n,) uint64 key, the same for frames with the same elements in the same order.
        shape: (n, 10) lengths and sums that frames share which differ by motion, reflection and the order of like
            atoms; see :func:`pyg_nnp.data.descriptors.shape_invariants`.
        Q: (n,) total charges.
        E: (n,) energies; empty without energies.
        largest_force: (n,) length of the largest force on an atom; empty without forces.
        net_force: (n,) length of the sum of all forces; empty without forces.
        charge_error: (n,) sum of the atomic charges minus ``Q``; empty without atomic charges.
        pair_counts: (n,) number of different pairs of elements in each frame.
        pair_keys: (M,) these pairs, frame by frame; see :func:`pyg_nnp.data.descriptors.shortest_in_frames`.
        pair_distances: (M,) shortest distance of each of these pairs.
        precision: by how much ``shape`` may differ for no other reason than the precision of positions.
        fingerprint: digest of elements and positions of all frames in their order, in the precision of the data set.
        ranges: field -> minimum, maximum and mean of all its numbers.
    """

    elements: Array
    sizes: Array
    counts: Array
    order: Array
    shape: Array
    Q: Array
    E: Array
    largest_force: Array
    net_force: Array
    charge_error: Array
    pair_counts: Array
    pair_keys: Array
    pair_distances: Array
    precision: float
    fingerprint: str
    ranges: dict[str, tuple[float, float, float]]

    @property
    def molecules(self) -> Array:
        """(n,) numbers that are the same for frames with the same elements in the same order, and the same charge."""
        keys = np.column_stack((self.order, self.Q.view(np.uint64)))
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)

    @property
    def charges(self) -> list[float]:
        """The total charges that occur, in ascending order."""
        found: list[float] = np.unique(self.Q).tolist()
        return found

    @property
    def compositions(self) -> list[str]:
        """The chemical formulas that occur, in alphabetical order."""
        different = np.unique(self.counts, axis=0)
        return sorted({formula(np.repeat(self.elements, counts).tolist()) for counts in different})

    def elements_in(self, frames: Tensor) -> list[int]:
        """Return the atomic numbers that occur in some frames, (g,), in ascending order."""
        found: list[int] = self.elements[self.counts[frames.numpy()].any(axis=0)].tolist()
        return found

    def shortest_distances(self, frames: Tensor) -> dict[tuple[int, int], float]:
        """Return the shortest distance of each two elements in some frames, (g,), by their atomic numbers."""
        chosen = np.zeros(len(self.sizes), dtype=bool)
        chosen[frames.numpy()] = True
        rows = np.repeat(chosen, self.pair_counts)
        shortest = np.full(NUMBER_OF_ELEMENTS**2, np.inf, dtype=self.pair_distances.dtype)
        np.minimum.at(shortest, self.pair_keys[rows], self.pair_distances[rows])
        return {elements_of(int(key)): float(shortest[key]) for key in np.flatnonzero(np.isfinite(shortest))}


def summarize(blocks: Iterable[Mapping[str, Tensor]]) -> DatasetSummary:
    """Look at all frames once, in memory for some million pairs of atoms and what the summary takes.

    Args:
        blocks: field -> its rows, block by block, as :meth:`pyg_nnp.data.MoleculeDataset.blocks` yields them.
    """
    rows: dict[str, list[Array]] = {}
    spans: dict[str, list[tuple[float, float, float, int]]] = {}
    counts: list[tuple[Array, Array]] = []
    positions, largest, eps = hashlib.sha256(), 0.0, 0.0
    for block in blocks:
        block = {name: values.cpu() for name, values in block.items()}
        for name in ("N", "Za", "Ra"):
            positions.update(block[name].numpy().tobytes())
        for piece in _pieces(block):
            for name, values in _of_frames(piece).items():
                rows.setdefault(name, []).append(values)
            for name, numbers in piece.items():
                low, high = numbers.aminmax()
                total = float(numbers.sum(dtype=torch.float64))
                spans.setdefault(name, []).append((float(low), float(high), total, numbers.numel()))
            counts.append(_element_counts(piece))
            largest = max(largest, float(piece["Ra"].abs().max()))
            eps = torch.finfo(piece["Ra"].dtype).eps
    elements = np.unique(np.concatenate([found for found, _ in counts]))
    joined = {name: np.concatenate(rows[name]) if name in rows else _NOTHING for name in _PER_FRAME + _PER_PAIR}
    return DatasetSummary(
        elements=elements,
        counts=_aligned(counts, elements),
        precision=1e-6 + 8 * eps * largest,
        fingerprint=positions.hexdigest(),
        ranges={name: _span(parts) for name, parts in spans.items()},
        **joined,
    )


class LazySummary:
    """The summary of a data set, made when it is first asked for."""

    def __init__(self) -> None:
        self._summary: DatasetSummary | None = None

    def of(self, blocks: Iterable[Mapping[str, Tensor]]) -> DatasetSummary:
        """Return the summary of all frames, block by block, which are the same at each call."""
        if self._summary is None:
            self._summary = self._make(blocks)
        return self._summary

    def _make(self, blocks: Iterable[Mapping[str, Tensor]]) -> DatasetSummary:
        return summarize(blocks)


def _pieces(block: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Cut a block into runs of frames with at most :data:`MAX_PAIRS` pairs of atoms."""
    ptr = offsets(block["N"]).tolist()
    num_frames, at_once = len(block["N"]), max(1, MAX_PAIRS // int(block["N"].max()) ** 2)
    for first in range(0, num_frames, at_once):
        last = min(first + at_once, num_frames)
        places = {"graph": slice(first, last), "atom": slice(ptr[first], ptr[last])}
        yield {name: rows[places[FIELDS[name].level]] for name, rows in block.items()}


def _of_frames(piece: Mapping[str, Tensor]) -> dict[str, Array]:
    """Return what :class:`DatasetSummary` keeps of each frame."""
    N, ptr = piece["N"], offsets(piece["N"]).numpy()
    count, frames = len(N), np.repeat(np.arange(len(N)), N.numpy())
    found = {
        "sizes": N.numpy(),
        "order": order_keys(piece["Za"].numpy(), ptr),
        "shape": shape_invariants(piece["Ra"].double().numpy(), piece["Za"].numpy(), frames, count),
    }
    found |= {name: piece[name].double().numpy() for name in ("Q", "E") if name in piece}
    if "Fa" in piece:
        Fa = piece["Fa"].double().numpy()
        found["largest_force"] = np.maximum.reduceat(np.linalg.norm(Fa, axis=1), ptr[:-1])
        found["net_force"] = np.linalg.norm(sums(Fa, frames, count), axis=1)
    if "Qa" in piece:
        found["charge_error"] = sums(piece["Qa"].double().numpy(), frames, count) - found["Q"]
    shortest = shortest_in_frames(piece["Ra"], piece["Za"], N)
    return found | dict(zip(_PER_PAIR, shortest, strict=True))


def _element_counts(piece: Mapping[str, Tensor]) -> tuple[Array, Array]:
    """Return (k,) the elements of some frames, and (g, k) how many atoms of each there are."""
    count, frames = len(piece["N"]), np.repeat(np.arange(len(piece["N"])), piece["N"].numpy())
    found, places = np.unique(piece["Za"].numpy(), return_inverse=True)
    cells = len(found) * frames + places.reshape(-1)
    return found, np.bincount(cells, minlength=len(found) * count).reshape(count, len(found)).astype(np.int16)


def _aligned(counts: list[tuple[Array, Array]], elements: Array) -> Array:
    """Return (n, K) the numbers of atoms of all elements from those of the elements of each piece."""
    aligned: Array = np.zeros((sum(len(numbers) for _, numbers in counts), len(elements)), dtype=np.int16)
    first = 0
    for found, numbers in counts:
        aligned[first : first + len(numbers), np.searchsorted(elements, found)] = numbers
        first += len(numbers)
    return aligned


def _span(parts: list[tuple[float, float, float, int]]) -> tuple[float, float, float]:
    lows, highs, totals, numbers = zip(*parts, strict=True)
    return min(lows), max(highs), sum(totals) / sum(numbers)
