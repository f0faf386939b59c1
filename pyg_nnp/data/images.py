# mypy: allow-untyped-calls
"""Distances between atoms and periodic images of atoms."""

from typing import Any

import numpy as np
from ase.geometry import complete_cell, minkowski_reduce
from ase.neighborlist import primitive_neighbor_list
from numpy.typing import NDArray

from pyg_nnp.functional.periodic_search import full_cell, periodic_pairs

Array = NDArray[Any]

_MOST_PAIRS = 4_000_000  # of a frame, as many as are expected in its cell


def closest_image(limit: float, Ra: Array, N: Array, cells: Array) -> tuple[int, int, int, float] | None:
    """Return the first frame in which an atom is closer than ``limit`` to an image of an atom, of itself or another.

    Args:
        limit: a distance.
        Ra: (A, 3) finite positions of the atoms of all frames.
        N: (G,) how many each frame has, at least one.
        cells: (G, 3, 3) vectors; 0 in directions that are not periodic.

    Returns:
        Frame, atom i, atom j of which there is an image closest to i, and their distance; None if there is none.
    """
    ends = np.cumsum(N)
    for frame in np.flatnonzero(_may_be_close(limit, Ra, ends - N, N, cells)):
        positions = Ra[ends[frame] - N[frame] : ends[frame]]
        if found := _closest_of_one(limit, positions, cells[frame]):
            return int(frame), *found
    return None


def pairs_with_images(Ra: Array, cell: Array, pbc: Array, reach: float) -> tuple[Array, Array]:
    """Return pairs of atoms and images of atoms within reach, or nearer where they are too many, and their distances.

    Args:
        Ra: (N, 3) positions.
        cell: (3, 3) lattice vectors.
        pbc: (3,) whether each direction is periodic.
        reach: what images are searched for within; the shortest lattice vector at least.

    Returns:
        (2, P) atoms and (P,) distances, without pairs of which both are in the cell itself.
    """
    periodic = np.where(np.asarray(pbc, dtype=bool)[:, None], cell, 0.0)  # (3, 3)
    shortest = np.linalg.norm(periodic, axis=1)[np.asarray(pbc, dtype=bool)].min()
    volume = abs(np.linalg.det(full_cell(cell, pbc)))
    most = (_MOST_PAIRS * volume / (4 / 3 * np.pi * len(Ra) ** 2)) ** (1 / 3)
    pairs, T = periodic_pairs(Ra, cell, pbc, min(max(reach, 1.001 * shortest), max(most, 1.001 * shortest)))
    of_images = T.any(axis=1)
    (j, i), T = pairs[:, of_images], T[of_images]
    return np.stack((j, i)), np.linalg.norm(Ra[j] - Ra[i] + T @ periodic, axis=1)


def _may_be_close(limit: float, Ra: Array, firsts: Array, N: Array, cells: Array) -> Array:
    """Return, (G,), False for frames whose molecule leaves a gap of ``limit`` across each pair of faces of its cell."""
    is_periodic: Array = np.any(cells != 0, axis=2)  # (G, 3)
    full = cells.copy()
    for frame in np.flatnonzero(is_periodic.any(axis=1) & ~is_periodic.all(axis=1)):
        full[frame] = complete_cell(cells[frame])
    normals = np.stack([np.cross(full[:, k - 2], full[:, k - 1]) for k in range(3)], axis=1)  # (G, 3, 3)
    lengths = np.linalg.norm(normals, axis=2, keepdims=True)
    normals /= np.where(lengths == 0, 1, lengths)
    heights = abs(np.einsum("gkx,gkx->gk", full, normals))  # (G, 3)
    along = np.einsum("ax,akx->ak", Ra, np.repeat(normals, N, axis=0))  # (A, 3)
    extents = np.maximum.reduceat(along, firsts) - np.minimum.reduceat(along, firsts)  # (G, 3)
    return np.asarray((is_periodic & (heights - extents < limit)).any(axis=1))


def _closest_of_one(limit: float, Ra: Array, cell: Array) -> tuple[int, int, float] | None:
    pbc, full = cell.any(axis=1), complete_cell(cell)
    lengths = np.linalg.norm(full, axis=1)
    if lengths[pbc].min() >= limit:
        if abs(np.linalg.det(full)) < 1e-9 * lengths.prod():
            return 0, 0, 0.0  # vectors that lie in one plane
        full, _ = minkowski_reduce(full, pbc)
        lengths = np.linalg.norm(full, axis=1)
    if (shortest := float(lengths[pbc].min())) < limit:
        return 0, 0, shortest
    i, j, distances, shifts = primitive_neighbor_list("ijdS", pbc, full, Ra, limit)
    is_image = shifts.any(axis=1)
    if not is_image.any():
        return None
    closest = np.flatnonzero(is_image)[np.argmin(distances[is_image])]
    return int(i[closest]), int(j[closest]), float(distances[closest])
