"""One pass over a data set: what is remembered of each frame to judge the data by."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch_geometric.data import Batch

    from pyg_nnp.data.dataset import MoleculeDataset

Array = NDArray[Any]

_MAX_PAIRS = 4_000_000
"""Pairs of atoms that are in memory at once, as the neighbor lists of a batch."""

# By atomic number. Sums of random numbers tell compositions apart, those of whole numbers do not.
_WEIGHTS = np.stack([np.ones(119), 1 + np.arange(119) ** 0.5, np.random.default_rng(0).uniform(1, 2, 119)])


@dataclass(frozen=True)
class Survey:
    """What is known of each of n frames.

    Attributes:
        sizes: (n,) number of atoms.
        counts: (n, K) how many atoms of each element.
        elements: (K,) atomic numbers that occur, in ascending order.
        order: (n,) uint64 key, the same for frames with the same elements in the same order.
        shape: (n, 10) lengths and sums that frames share which differ by motion, reflection and the order of like
            atoms; see :func:`shape_invariants`.
        precision: by how much ``shape`` may differ for no other reason than the precision of positions.
        values: (n,) of the fields ``Q`` and ``E``, as far as the data set has them.
        largest_force: (n,) length of the largest force on an atom; empty without forces.
        net_force: (n,) length of the sum of all forces; empty without forces.
        charge_error: (n,) sum of the atomic charges minus ``Q``; empty without atomic charges.
        ranges: field -> minimum, maximum and mean of all its numbers.
    """

    sizes: Array
    counts: Array
    elements: Array
    order: Array
    shape: Array
    precision: float
    values: dict[str, Array]
    largest_force: Array
    net_force: Array
    charge_error: Array
    ranges: dict[str, tuple[float, float, float]]

    @property
    def molecules(self) -> Array:
        """(n,) numbers that are the same for frames with the same elements in the same order, and the same charge."""
        keys = np.column_stack((self.order, self.values["Q"].view(np.uint64)))
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)


def survey(dataset: "MoleculeDataset") -> Survey:
    """Look at all frames once, in batches of bounded memory."""
    rows: dict[str, list[Array]] = {}
    spans: dict[str, list[tuple[float, float, float, int]]] = {}
    largest, precision = 0.0, 0.0
    for batch in in_batches(dataset, torch.arange(len(dataset))):
        for name, values in _of_frames(batch, dataset.fields).items():
            rows.setdefault(name, []).append(values)
        for name in dataset.fields:
            low, high = batch[name].aminmax()
            total = float(batch[name].sum(dtype=torch.float64))
            spans.setdefault(name, []).append((float(low), float(high), total, batch[name].numel()))
        largest = max(largest, float(batch.Ra.abs().max()))
        precision = 1e-6 + 8 * torch.finfo(batch.Ra.dtype).eps * largest
    joined = {name: np.concatenate(parts) for name, parts in rows.items()}
    nothing = np.zeros(0)
    counts = joined["counts"]
    elements = np.flatnonzero(counts.any(axis=0))
    return Survey(
        sizes=joined["N"],
        counts=counts[:, elements],
        elements=elements,
        order=joined["order"],
        shape=joined["shape"],
        precision=precision,
        values={name: joined[name] for name in ("Q", "E") if name in joined},
        largest_force=joined.get("largest_force", nothing),
        net_force=joined.get("net_force", nothing),
        charge_error=joined.get("charge_error", nothing),
        ranges={name: _span(parts) for name, parts in spans.items()},
    )


def in_batches(dataset: "MoleculeDataset", indices: torch.Tensor) -> "Iterator[Batch]":
    """Yield frames in batches of at most some million pairs of atoms, on the CPU."""
    size = max(1, _MAX_PAIRS // dataset.max_atoms**2)
    # in this process, since starting others takes longer than a few batches
    return (dataset.batch(indices[first : first + size]).cpu() for first in range(0, len(indices), size))


def sums(values: Array, frames: Array, count: int) -> Array:
    """Add up the rows of each frame: (A, ...) and (A,) frame of each -> (count, ...)."""
    flat = values.reshape(len(values), -1)
    columns = [np.bincount(frames, flat[:, k], count) for k in range(flat.shape[1])]
    return np.stack(columns, axis=1).reshape(count, *values.shape[1:])


def shape_invariants(Ra: Array, Za: Array, frames: Array, count: int) -> Array:
    r"""Return (count, 10) numbers that describe the shape of each frame.

    With weights w of the elements, W their sum, the tensor :math:`T = \sum_i w_i r_i r_i^T / W` about the weighted
    centre: :math:`(\mathrm{tr}\, T)^{1/2}`, :math:`(\mathrm{tr}\, T^2)^{1/4}` and
    :math:`(\sum_i w_i |r_i|^4 / W)^{1/4}`, which are lengths, for three sets of weights; and one W, which tells
    compositions apart. Frames that differ by rotation, translation, reflection or the order of like atoms have the same
    numbers. Others hardly ever have, so that equal numbers are to be looked into.

    Args:
        Ra: (A, 3) float64 positions.
        Za: (A,) atomic numbers.
        frames: (A,) frame of each atom.
        count: number of frames.
    """
    columns = []
    for weights in _WEIGHTS:
        w = weights[Za]
        W = sums(w, frames, count)
        r = Ra - (sums(w[:, None] * Ra, frames, count) / W[:, None])[frames]
        T = sums(w[:, None, None] * r[:, :, None] * r[:, None, :], frames, count) / W[:, None, None]
        fourth = sums(w * np.square(r).sum(axis=1) ** 2, frames, count) / W
        columns += [np.trace(T, axis1=1, axis2=2) ** 0.5, np.square(T).sum(axis=(1, 2)) ** 0.25, fourth**0.25]
    return np.stack([*columns, sums(_WEIGHTS[2][Za], frames, count)], axis=1)


def _of_frames(batch: "Batch", fields: tuple[str, ...]) -> dict[str, Array]:
    """Return what :class:`Survey` remembers of the frames of a batch."""
    count, frames = batch.num_graphs, batch.batch.numpy()
    Ra, Za = batch.Ra.double().numpy(), batch.Za.numpy()
    found = {
        "N": batch.N.numpy(),
        "counts": np.bincount(119 * frames + Za, minlength=119 * count).reshape(count, 119).astype(np.int16),
        "order": _order_keys(Za, batch.ptr.numpy()),
        "shape": shape_invariants(Ra, Za, frames, count),
    }
    found |= {name: batch[name].double().numpy() for name in ("Q", "E") if name in fields}
    if "Fa" in fields:
        Fa = batch.Fa.double().numpy()
        found["largest_force"] = np.maximum.reduceat(np.linalg.norm(Fa, axis=1), batch.ptr.numpy()[:-1])
        found["net_force"] = np.linalg.norm(sums(Fa, frames, count), axis=1)
    if "Qa" in fields:
        found["charge_error"] = sums(batch.Qa.double().numpy(), frames, count) - found["Q"]
    return found


def _order_keys(Za: Array, ptr: Array) -> Array:
    """Return (G,) keys of the sequences of atomic numbers, a hash of 64 bits."""
    places = np.arange(len(Za)) - np.repeat(ptr[:-1], np.diff(ptr))
    keys = (Za * 100_003 + places + 1).astype(np.uint64)
    # the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), so that the sum over a frame tells orders apart
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return np.add.reduceat(keys ^ (keys >> np.uint64(31)), ptr[:-1])


def _span(parts: list[tuple[float, float, float, int]]) -> tuple[float, float, float]:
    lows, highs, totals, numbers = zip(*parts, strict=True)
    return min(lows), max(highs), sum(totals) / sum(numbers)
