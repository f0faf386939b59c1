"""Near frames of one system: between them the work of the forces is the difference of the energies."""

import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree

from pyg_nnp.diagnostics.finding import Array
from pyg_nnp.diagnostics.force_units import Slope
from pyg_nnp.functional.periodic_search import full_cell

_FEW_IN_CELLS = 60  # pairs of one crystal that are taken, where there are so many
_MORE_THAN_STRAINS = 10  # pairs of one crystal at least, than numbers that are fitted to them


def near_pairs(Ra: Array, Fa: Array) -> tuple[Array, Array, Array, Array]:
    """Pair each of (G, N, 3) frames of one molecule with the one nearest to it, each pair once.

    Returns:
        (P,) the work on the way from one frame to the other, (P,) how far they are apart, and (P,) both frames.
    """
    i, j = np.arange(len(Ra)), nearest_frames(Ra)
    # of two frames that are nearest to each other once
    once = (j[j] != i) | (i < j)
    i, j = i[once], j[once]
    return *work_between(Ra, Fa, i, j), i, j


def work_in_cells(
    Ra: Array, Fa: Array, cell: Array, pbc: Array, E: Array, least: float
) -> tuple[Array, Array, Array] | None:
    r"""Return the work between near frames of a crystal, and by how much it and energies differ, without the strain.

    Places are compared in units of the lattice vectors, so that neither the cells nor translations by them are a part
    of the way, :math:`\Delta s \bar h`. What energies differ by because of the cells is taken out of all numbers by
    linear regression on the six strains and the three sums of their squares that a cubic crystal has. Where forces are
    harmonic the rest is exact, however far the frames are apart.

    Args:
        Ra: (G, N, 3) positions.
        Fa: (G, N, 3) forces.
        cell: (G, 3, 3) lattice vectors.
        pbc: (3,) directions in which they are repeated.
        E: (K, G) energies of several kinds, the first of which say which pairs are broken.
        least: pairs that are nearer than this are not taken.

    Returns:
        (P,) the work; (P,) half of what the forces of one end do more of it than those of the other; and (K, P)
        differences of energies. None where there are too few pairs for the regression.
    """
    h = np.stack([full_cell(one, pbc) for one in cell])  # (G, 3, 3)
    s = np.linalg.solve(h.transpose(0, 2, 1), Ra.transpose(0, 2, 1)).transpose(0, 2, 1)  # (G, N, 3)
    s = np.where(pbc, np.unwrap(s, axis=0, period=1.0), s)
    s = s - s.mean(axis=1, keepdims=True)
    i, j = _shortest_tree(np.concatenate((s @ h[0], h), axis=1).reshape(len(h), -1))
    way = s[j] - s[i]
    way = (way - np.where(pbc, np.round(way), 0.0)) @ ((h[i] + h[j]) / 2)  # (P, N, 3)
    way -= way.mean(axis=1, keepdims=True)
    nearest = nearest_pairs(np.square(way).sum(axis=2).mean(axis=1) ** 0.5, least, _FEW_IN_CELLS)
    if not len(nearest):
        return None
    i, j, way = i[nearest], j[nearest], way[nearest]
    work, bend = (-((Fa[j] + sign * Fa[i]) / 2 * way).sum(axis=(1, 2)) for sign in (1, -1))
    rows = np.stack((work, bend, *(E[:, j] - E[:, i])))  # (2 + K, P)
    strains = _strains(h)
    strains = strains[j] - strains[i]  # (P, 9)
    # a broken frame would bend the regression
    whole = (abs(rows[[0, 2]]) <= 10 * np.median(abs(rows[[0, 2]]), axis=1, keepdims=True)).all(axis=0)
    rows, strains = rows[:, whole], strains[whole]
    U, size, _ = np.linalg.svd(strains / np.maximum(np.linalg.norm(strains, axis=0), 1e-9), full_matrices=False)
    U = U[:, size > 1e-6]
    if U.shape[1] and len(U) < U.shape[1] + _MORE_THAN_STRAINS:
        return None
    rows = rows - rows @ U @ U.T
    return rows[0], rows[1], rows[2:]


def _strains(h: Array) -> Array:
    """Return (G, 9): six strains of (G, 3, 3) cells against the first, however they are turned, and three squares.

    The squares are those that the elastic energy of a cubic crystal is made of.
    """
    e = np.linalg.solve(h[0], h)
    e = (e @ e.transpose(0, 2, 1) - np.eye(3)) / 2  # of Green and Lagrange
    linear = e[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]  # (G, 6)
    squares = np.square(linear)
    of_volume = linear[:, :3].sum(axis=1) ** 2
    return np.column_stack((linear, of_volume, squares[:, :3].sum(axis=1), squares[:, 3:].sum(axis=1)))


def nearest_pairs(apart: Array, least: float, number: int = 30) -> Array:
    """Return the nearest of some pairs, (P,) apart, that are not nearer than ``least``: a tenth, or ``number``."""
    distinct = np.flatnonzero(apart > least)
    # the error of the work grows with the third power of the distance
    nearest: Array = distinct[np.argsort(apart[distinct])[: max(number, len(distinct) // 10)]]
    return nearest


def is_clear(near: Slope, least: float = 0.8) -> bool:
    """Return whether the slope of work against energies, correlated by ``least``, says how they go together."""
    return near.number >= 10 and abs(near.correlation) > least and near.error < 0.15 * abs(near.slope)


def nearest_frames(Ra: Array, max_distances: int = 300) -> Array:
    """Return (G,) the frame nearest to each, by the distances between atoms, from (G, N, 3) positions."""
    i, j = np.triu_indices(Ra.shape[1], 1)
    some = np.linspace(0, len(i) - 1, min(len(i), max_distances)).astype(int)
    distances = np.linalg.norm(Ra[:, i[some]] - Ra[:, j[some]], axis=2)
    distances -= distances.mean(axis=0)
    apart = _squares_between(distances)
    np.fill_diagonal(apart, np.inf)
    nearest: Array = apart.argmin(axis=1)
    return nearest


def _shortest_tree(points: Array) -> tuple[Array, Array]:
    """Return (P,) both ends of the lines that join (G, D) points in the shortest way: G - 1 if all are different."""
    apart = np.maximum(_squares_between(points - points.mean(axis=0)), 0.0)
    i, j = minimum_spanning_tree(apart).nonzero()
    return i, j


def _squares_between(points: Array) -> Array:
    """Return (G, G) squares of the distances between (G, D) points near the origin."""
    squares = np.square(points).sum(axis=1)
    apart: Array = squares[:, None] + squares - 2 * points @ points.T
    return apart


def work_between(Ra: Array, Fa: Array, i: Array, j: Array) -> tuple[Array, Array]:
    r"""Return the work against the forces on the way from frame i to frame j, which is their energy difference.

    .. math:: w = -\tfrac12 (F_i + F_j) \cdot (R_j - R_i), \qquad E_j - E_i = w + O(|R_j - R_i|^3)

    Frame j is moved and turned onto frame i first, its forces with it (Kabsch, Acta Cryst. A 1976, 32, 922).

    Args:
        Ra: (G, N, 3) positions.
        Fa: (G, N, 3) forces.
        i: (P,) frames.
        j: (P,) frames.

    Returns:
        (P,) the work, and (P,) the root mean square displacement of an atom.
    """
    centred = Ra - Ra.mean(axis=1, keepdims=True)
    U, _, Vt = np.linalg.svd(np.einsum("pni,pnj->pij", centred[j], centred[i]))
    U[:, :, 2] *= np.sign(np.linalg.det(U @ Vt))[:, None]
    turn = U @ Vt
    way = centred[j] @ turn - centred[i]
    work = -((Fa[i] + Fa[j] @ turn) / 2 * way).sum(axis=(1, 2))
    return work, np.square(way).sum(axis=2).mean(axis=1) ** 0.5
