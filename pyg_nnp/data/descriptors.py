"""Numbers that describe each frame: shape, order of the elements, shortest distances, and those of its labels."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyg_nnp.data.images import pairs_with_images
from pyg_nnp.fields import FIELDS, TARGETS
from pyg_nnp.functional.geometry import all_pairs, offsets, pair_distances

Array = NDArray[Any]

NUMBER_OF_ELEMENTS = 119
"""Atomic numbers go from 1 to 118."""

# By atomic number. Sums of random numbers tell compositions apart, those of whole numbers do not.
_MOST_COUNTED = 1 << 22  # different numbers that rows may become to be counted
_WEIGHTS = np.stack([np.ones(119), 1 + np.arange(119) ** 0.5, np.random.default_rng(0).uniform(1, 2, 119)])


def describe_frames(piece: Mapping[str, Tensor]) -> dict[str, Array]:
    """Return what :class:`pyg_nnp.data.summary.DatasetSummary` keeps of each frame; all their pairs are in memory."""
    N, ptr = piece["N"], offsets(piece["N"]).numpy()
    count, frames = len(N), np.repeat(np.arange(len(N)), N.numpy())
    pair_counts, pair_keys, shortest = _shortest_in_frames(piece)
    found = {
        "sizes": N.numpy(),
        "periodic": (piece["pbc"].sum(dim=1) if "pbc" in piece else torch.zeros(count)).to(torch.int8).numpy(),
        "order": _order_keys(piece["Za"].numpy(), ptr),
        "shape": shape_invariants(piece["Ra"].double().numpy(), piece["Za"].numpy(), frames, count),
        "pair_counts": pair_counts,
        "pair_keys": pair_keys,
        # in the precision of the data set, which takes half of the space
        "pair_distances": shortest.to(piece["Q"].dtype).numpy(),
    }
    found |= {name: piece[name].double().numpy() for name in ("Q", "E", "weight") if name in piece}
    found["missing"] = _missing_labels(piece, frames, count)
    if "Fa" in piece:
        Fa = piece["Fa"].double().numpy()
        # of the forces that are there
        found["largest_force"] = np.fmax.reduceat(np.linalg.norm(Fa, axis=1), ptr[:-1])
        found["net_force"] = np.linalg.norm(sums(Fa, frames, count), axis=1)
    if "Qa" in piece:
        found["charge_error"] = sums(piece["Qa"].double().numpy(), frames, count) - found["Q"]
    return found


def count_elements(piece: Mapping[str, Tensor]) -> tuple[Array, Array]:
    """Return (k,) the elements of some frames, and (g, k) int16 how many atoms of each a frame has."""
    elements, place = np.unique(piece["Za"].numpy(), return_inverse=True)
    frames, k = np.repeat(np.arange(len(piece["N"])), piece["N"].numpy()), len(elements)
    counts = np.bincount(k * frames + place.reshape(-1), minlength=k * len(piece["N"]))
    return elements.astype(np.int64), counts.reshape(-1, k).astype(np.int16)


def join_counts(elements: Array, counts: list[tuple[Array, Array]]) -> Array:
    """Return (n, K) counts of all (K,) elements, of runs of frames that have some of them."""
    joined, first = np.zeros((sum(len(rows) for _, rows in counts), len(elements)), dtype=np.int16), 0
    for found, rows in counts:
        joined[first : first + len(rows), np.searchsorted(elements, found)] = rows
        first += len(rows)
    return joined


def _missing_labels(piece: Mapping[str, Tensor], frames: Array, count: int) -> Array:
    """Return (count, T) how many numbers of each target, in the order of ``TARGETS``, each frame lacks."""
    missing = np.zeros((count, len(TARGETS)), dtype=np.int32)
    for column, name in enumerate(TARGETS):
        if name in piece:
            lacking = torch.isnan(piece[name]).reshape(len(piece[name]), -1).sum(dim=1).numpy()
            missing[:, column] = lacking if FIELDS[name].level == "graph" else sums(lacking, frames, count)
    return missing


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


def _order_keys(Za: Array, ptr: Array) -> Array:
    """Return (G,) keys of the sequences of atomic numbers, a hash of 64 bits."""
    places = np.arange(len(Za)) - np.repeat(ptr[:-1], np.diff(ptr))
    keys = (Za * 100_003 + places + 1).astype(np.uint64)
    # the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), so that the sum over a frame tells orders apart
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return np.add.reduceat(keys ^ (keys >> np.uint64(31)), ptr[:-1])


def _shortest_in_frames(piece: Mapping[str, Tensor]) -> tuple[Array, Array, Tensor]:
    """Find the shortest distance of each two elements in each frame, those to images in periodic cells included.

    Returns:
        (G,) number of pairs of elements in each frame, and for these, frame by frame, (M,) keys as
        :func:`elements_of` reads them, and (M,) distances in the type of ``Ra``.
    """
    Ra, Za, N = piece["Ra"], piece["Za"], piece["N"]
    pairs = all_pairs(N)
    distances, frames = pair_distances(Ra, pairs), torch.arange(len(N)).repeat_interleave(N)
    shortest, found = _shortest(Za, frames, pairs, distances, len(N))
    if "cell" in piece and bool(piece["pbc"].any()):
        images, to_images = _with_images(piece, shortest)
        pairs, distances = torch.cat((pairs, images), dim=1), torch.cat((distances, to_images))
        shortest, found = _shortest(Za, frames, pairs, distances, len(N))
    there = shortest.isfinite()
    keys_there = found.expand_as(shortest)[there]
    return there.sum(dim=1).int().numpy(), keys_there.short().numpy(), shortest[there]


def _shortest(Za: Tensor, frames: Tensor, pairs: Tensor, distances: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return (G, K) shortest of (P,) distances of each two elements in each frame, and (K,) keys of the elements."""
    i, j = pairs
    keys = NUMBER_OF_ELEMENTS * torch.minimum(Za[i], Za[j]) + torch.maximum(Za[i], Za[j])
    found = keys.bincount(minlength=NUMBER_OF_ELEMENTS**2).nonzero()[:, 0]
    place_of = torch.zeros(NUMBER_OF_ELEMENTS**2, dtype=torch.int64)
    place_of[found] = torch.arange(len(found))
    shortest = distances.new_full((count * len(found),), torch.inf)
    shortest = shortest.scatter_reduce(0, len(found) * frames[i] + place_of[keys], distances, "amin")
    return shortest.view(count, len(found)), found


def _with_images(piece: Mapping[str, Tensor], shortest: Tensor) -> tuple[Tensor, Tensor]:
    """Return (2, P) pairs with images that may be nearer than (G, K) distances without, and their distances."""
    Ra, first = piece["Ra"], offsets(piece["N"]).tolist()
    cells, pbc = piece["cell"].numpy(), piece["pbc"].numpy().astype(bool)
    farthest = (
        torch.where(shortest.isfinite(), shortest, 0.0).amax(dim=1) if shortest.shape[1] else torch.zeros(len(pbc))
    )
    pairs, distances = [torch.zeros((2, 0), dtype=torch.int64)], [Ra.new_zeros(0)]
    for frame in np.flatnonzero(pbc.any(axis=1)):
        positions = Ra[first[frame] : first[frame + 1]].double().numpy()
        found, r = pairs_with_images(positions, cells[frame], pbc[frame], float(farthest[frame]))
        pairs.append(torch.from_numpy(found) + first[frame])
        distances.append(torch.from_numpy(r).to(Ra.dtype))
    return torch.cat(pairs, dim=1), torch.cat(distances)


def elements_of(key: int) -> tuple[int, int]:
    """Return the two atomic numbers of a key of a pair, the smaller one first."""
    return divmod(key, NUMBER_OF_ELEMENTS)


def unique_rows(rows: Array) -> tuple[Array, Array]:
    """Return the different rows of (n, k) whole numbers >= 0 in ascending order, (m, k), and which each is, (n,).

    As ``np.unique`` with ``axis=0``, but many times faster: rows become single numbers, which are counted, or sorted.
    """
    sizes = [int(most) + 1 for most in rows.max(axis=0, initial=0)]
    if math.prod(sizes) >= 1 << 62:
        different, which = np.unique(rows, axis=0, return_inverse=True)
        return different, which.reshape(-1)
    keys = np.zeros(len(rows), dtype=np.int64)
    for column, size in zip(rows.T, sizes, strict=True):
        keys = keys * size + column
    if math.prod(sizes) <= _MOST_COUNTED:
        present = np.flatnonzero(np.bincount(keys))
        which = np.searchsorted(present, keys) if len(present) > 1 else np.zeros_like(keys)
    else:
        present, which = np.unique(keys, return_inverse=True)
    different = np.stack(np.unravel_index(present, sizes), axis=1) if sizes else np.zeros((len(present), 0))
    return different.astype(rows.dtype), which.reshape(-1)
