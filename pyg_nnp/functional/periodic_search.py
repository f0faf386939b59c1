"""Neighbors in periodic cells: pairs of atoms and images of atoms, found by SciPy's tree."""

from typing import Any

import numpy as np
from ase.geometry import complete_cell, minkowski_reduce
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pyg_nnp.errors import DataError

Array = NDArray[Any]

_MARGIN = 1e-6  # of the cutoff, for the rounding of positions that are moved into the cell
_MANY_IMAGES = 200  # of a cell; from here on it is worth while to look for shorter lattice vectors
_MOST_IMAGES = 10_000_000  # of atoms, which take some gigabytes
_FLAT = 1e-9  # volume, relative to that of a box with edges of the same lengths


def periodic_pairs(Ra: Array, cell: Array, pbc: Array, cutoff: float) -> tuple[Array, Array]:
    r"""Return the pairs of atoms and images of atoms that are nearer than the cutoff, each once.

    The vector of a pair is :math:`R_j - R_i + T h`, with the lattice vectors h as rows, and :math:`T_k = 0` where the
    cell is not periodic. Of a pair and its reverse, (i, j, -T), the one with j > i is returned; of an atom and its own
    images, that with a first number of T other than 0 that is positive.

    Args:
        Ra: (N, 3) positions, float64, inside or outside of the cell [length].
        cell: (3, 3) lattice vectors, one a row [length]; those of directions that are not periodic are not read.
        pbc: (3,) whether each direction is periodic.
        cutoff: greater than 0 [length].

    Returns:
        (2, P) int64 atoms, ``j, i = pairs``, and (P, 3) int64 T, in lexicographic order of i, j and T.

    Raises:
        DataError: the cell has no volume, or needs more images than memory holds.
    """
    pbc = np.asarray(pbc, dtype=bool)
    h = full_cell(cell, pbc)
    to_given = np.eye(3, dtype=np.int64)  # (3, 3) translations of the reduced cell -> those of the given one
    if _images(h, pbc, cutoff).prod(dtype=np.float64) > _MANY_IMAGES:
        h, reduction = minkowski_reduce(h, pbc)  # type: ignore[no-untyped-call]
        to_given = np.asarray(reduction, dtype=np.int64)
    places = np.linalg.solve(h.T, Ra.T).T  # (N, 3), in units of the lattice vectors
    home = np.floor(places).astype(np.int64) * pbc  # (N, 3)
    inside = Ra - home @ h  # (N, 3)
    atoms, translations = _with_images(places - home, h, pbc, (1 + _MARGIN) * cutoff)  # (M,), (M, 3)
    near = cKDTree(inside).sparse_distance_matrix(
        cKDTree(inside[atoms] + translations @ h), (1 + _MARGIN) * cutoff, output_type="ndarray"
    )  # (P,) of i, image and distance
    i, j = near["i"].astype(np.int64), atoms[near["j"]]  # (P,)
    T = (translations[near["j"]] + home[i] - home[j]) @ to_given  # (P, 3)
    once = (j > i) | ((j == i) & _is_positive(T))  # (P,)
    i, j, T = i[once], j[once], T[once]
    within = np.linalg.norm((Ra[j] - Ra[i]) + T @ np.where(pbc[:, None], cell, 0.0), axis=1) < cutoff  # (P,)
    i, j, T = i[within], j[within], T[within]
    order = np.lexsort((T[:, 2], T[:, 1], T[:, 0], j, i))
    return np.stack((j[order], i[order])), T[order]  # (2, P), (P, 3)


def volumes(cells: Array) -> Array:
    """Return the (G,) volumes of (G, 3, 3) cells, of either hand."""
    return np.asarray(np.abs(np.linalg.det(cells)))


def full_cell(cell: Array, pbc: Array) -> Array:
    """Return a cell, (3, 3), with vectors across those that are periodic, by (3,) ``pbc``, in the place of others.

    Raises:
        DataError: it has no volume.
    """
    pbc = np.asarray(pbc, dtype=bool)
    given = np.where(pbc[:, None], np.asarray(cell, dtype=np.float64), 0.0)  # (3, 3)
    is_whole = bool(np.isfinite(given).all() and (given.any(axis=1) == pbc).all())
    h: Array = complete_cell(given) if is_whole else given  # type: ignore[no-untyped-call]
    if not is_whole or abs(np.linalg.det(h)) <= _FLAT * np.linalg.norm(h, axis=1).prod():
        raise DataError(
            f"the lattice vectors {np.asarray(cell).tolist()} span no cell in the periodic directions "
            f"{pbc.tolist()}. Give three that do not lie in a plane, or set pbc to false where there is none."
        )
    return h


def _images(h: Array, pbc: Array, cutoff: float) -> Array:
    """Return (3,) in how many cells in each direction, the middle one included, neighbors of an atom may be."""
    heights = 1 / np.linalg.norm(np.linalg.inv(h), axis=0)  # (3,)
    return np.where(pbc, 2 * np.ceil(cutoff / heights) + 1, 1)


def _with_images(places: Array, h: Array, pbc: Array, cutoff: float) -> tuple[Array, Array]:
    """Return (M,) numbers and (M, 3) translations of the atoms, and of images near enough to any atom.

    ``places`` are (N, 3), from 0 to 1 in periodic directions, in units of the lattice vectors.
    """
    reach = cutoff * np.linalg.norm(np.linalg.inv(h), axis=0)  # (3,), in the same units
    atoms = np.arange(len(places))
    translations = np.zeros((len(places), 3), dtype=np.int64)
    lowest, highest = places.min(axis=0) - reach, places.max(axis=0) + reach  # (3,)
    for k in np.flatnonzero(pbc):
        most = int(np.ceil(reach[k])) + 1
        if len(atoms) * (2 * most + 1) > _MOST_IMAGES:
            raise DataError(
                f"the cell {h.tolist()} is so flat that its {len(places)} atoms have too many images within the "
                "cutoff. Is the cell in the unit of the positions?"
            )
        steps = np.arange(-most, most + 1)  # (n,)
        along = places[atoms, k] + steps[:, None]  # (n, M)
        step, which = np.nonzero((along >= lowest[k]) & (along <= highest[k]))  # (M,)
        atoms, translations = atoms[which], translations[which]
        translations[:, k] = steps[step]
    return atoms, translations


def _is_positive(T: Array) -> Array:
    """Return (P,) whether the first number of each row of (P, 3) that is not 0 is greater than 0."""
    x, y, z = T.T  # (P,)
    return np.asarray((x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0)))))
