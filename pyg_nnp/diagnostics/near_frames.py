"""Near frames of one molecule: between them the work of the forces is the difference of the energies."""

import numpy as np

from pyg_nnp.diagnostics.finding import Array
from pyg_nnp.diagnostics.force_units import Slope


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


def nearest_pairs(apart: Array, least: float) -> Array:
    """Return the nearest of some pairs, (P,) apart, that are not nearer than ``least``: a tenth of them, or 30."""
    distinct = np.flatnonzero(apart > least)
    # the error of the work grows with the third power of the distance
    nearest: Array = distinct[np.argsort(apart[distinct])[: max(30, len(distinct) // 10)]]
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
    squares = np.square(distances).sum(axis=1)
    apart = squares[:, None] + squares - 2 * distances @ distances.T
    np.fill_diagonal(apart, np.inf)
    nearest: Array = apart.argmin(axis=1)
    return nearest


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
