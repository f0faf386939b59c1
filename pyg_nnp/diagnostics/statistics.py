"""Statistics that tell whether data are right: functions of arrays, without files, names or messages."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Array = NDArray[Any]

SIGMA_OF_MAD = 1.4826
"""Standard deviation of a normal distribution in units of its median absolute deviation."""


_FEW = 20


@dataclass(frozen=True)
class Slope:
    """A line through the origin, y = slope · x.

    Attributes:
        slope: its slope.
        error: standard error of the slope.
        correlation: of x and y about the origin, from -1 to 1.
        number: of points.
    """

    slope: float
    error: float
    correlation: float
    number: int


def slope_of(x: Array, y: Array) -> Slope:
    r"""Fit :math:`y = s x` where x is exact: :math:`s = \sum x y / \sum x^2`.

    Points ten times as far out as the median, in x or in y, are left out, so that a broken frame does not decide.

    Args:
        x: (n,).
        y: (n,).
    """
    near = (abs(x) <= 10 * np.median(abs(x))) & (abs(y) <= 10 * np.median(abs(y))) if len(x) else np.zeros(0, bool)
    x, y = x[near], y[near]
    xx, yy, xy = float(x @ x), float(y @ y), float(x @ y)
    if len(x) < 3 or xx * yy == 0:
        return Slope(0.0, float("inf"), 0.0, len(x))
    error = (max(yy - xy * xy / xx, 0.0) / (len(x) - 1) / xx) ** 0.5
    return Slope(xy / xx, error, xy / (xx * yy) ** 0.5, len(x))


def outliers(values: Array, limit: float, factor: float = 2.0) -> Array:
    """Find numbers that lie far above all others, with a gap between.

    The largest ones are outliers if each is above ``limit`` and more than ``factor`` times as large as the largest of
    the rest, and if they are at most one in fifty. A heavy tail has no gap.

    Args:
        values: (n,) numbers from 0.
        limit: how large an outlier is at least.
        factor: how wide the gap is.

    Returns:
        Their indices, the largest first.
    """
    order = np.argsort(values)[::-1]
    ranked = values[order]
    most = min(max(1, len(values) // 50), len(values) - 1)
    gaps = np.flatnonzero((ranked[:most] > limit) & (ranked[:most] > factor * ranked[1 : most + 1]))
    largest: Array = order[: gaps[-1] + 1] if len(gaps) else order[:0]
    return largest


def energy_deviations(E: Array, counts: Array, Q: Array, molecules: Array) -> Array:
    r"""Say how far each energy is from what is to be expected, in robust standard deviations.

    Where a molecule has at least five frames, and there are 20 such frames, their median is expected; the standard
    deviation is that of all such frames about their medians, or that of the molecule's own if it is larger. Else
    :math:`E = \sum_Z n_Z e_Z + a Q + b Q^2` is expected, fitted to these other frames by iterated least squares with
    Tukey's biweight, if there are five for each term.

    Args:
        E: (n,) energies.
        counts: (n, K) atoms of each element.
        Q: (n,) total charges.
        molecules: (n,) key of the molecule, the charge included.

    Returns:
        (n,) from 0; 0 where nothing can be expected.
    """
    _, group, sizes = np.unique(molecules, return_inverse=True, return_counts=True)
    common = sizes[group] >= 5
    # a standard deviation from fewer frames says little
    common &= common.sum() >= _FEW
    rare = ~common
    deviations = np.zeros(len(E))
    residuals = E - _medians(E, group, sizes)[group]
    own = SIGMA_OF_MAD * _medians(abs(residuals), group, sizes)[group]
    deviations[common] = _over(residuals[common], np.maximum(own[common], _sigma(residuals[common])))
    terms = np.column_stack((counts[rare], Q[rare], Q[rare] ** 2)).astype(np.float64)
    if rare.sum() >= max(_FEW, 5 * terms.shape[1]):
        residuals = _robust_residuals(terms, E[rare])
        deviations[rare] = _over(residuals, _sigma(residuals))
    return deviations


def _medians(values: Array, group: Array, sizes: Array) -> Array:
    """Return the median of each group, (number of groups,)."""
    order = np.lexsort((values, group))
    first = np.cumsum(sizes) - sizes
    middle: Array = (values[order[first + (sizes - 1) // 2]] + values[order[first + sizes // 2]]) / 2
    return middle


def _sigma(residuals: Array) -> float:
    """Return a robust standard deviation about 0.

    It is that of a normal distribution with the same median, or nine tenths, of absolute values, whichever is larger:
    the former alone is small where half of the molecules are much alike.
    """
    if not len(residuals):
        return 0.0
    median, most = np.quantile(abs(residuals), (0.5, 0.9))
    return max(SIGMA_OF_MAD * float(median), float(most) / 1.645)


def _over(residuals: Array, sigma: Array | float) -> Array:
    """Return the sizes of residuals in units of ``sigma``; 0 where that is 0."""
    sizes: Array = np.divide(abs(residuals), sigma, out=np.zeros(len(residuals)), where=np.asarray(sigma) > 0)
    return sizes


def _robust_residuals(terms: Array, E: Array) -> Array:
    weights = np.ones(len(E))
    residuals = np.zeros(len(E))
    for _ in range(20):
        root = weights**0.5
        residuals = E - terms @ np.linalg.lstsq(terms * root[:, None], E * root, rcond=None)[0]
        # 4.685: the usual constant, 95 % efficient for normal errors; the tiny weight keeps the rank
        scaled = _over(residuals, _sigma(residuals)) / 4.685
        weights = np.clip(1 - scaled**2, 0, None) ** 2 + 1e-9
    return residuals


def clusters(points: Array, tolerance: float) -> Array:
    """Put points into clusters; each but a lone one is within ``tolerance`` of another of its cluster.

    Meant for clusters that are much smaller than ``tolerance``; larger ones may be cut.

    Args:
        points: (n, d).
        tolerance: the largest distance.

    Returns:
        (n,) number of the cluster of each point.
    """
    # equal ones first, so that the tree has no heaps of them
    unique, group = np.unique(points, axis=0, return_inverse=True)
    group = group.reshape(-1)
    while len(unique) > 1:
        _, near = cKDTree(unique).query(unique, k=2, distance_upper_bound=tolerance)
        found = near < len(unique)
        links = coo_array((found[found], (np.nonzero(found)[0], near[found])), shape=(len(unique), len(unique)))
        number, labels = connected_components(links, directed=False)
        if number == len(unique):
            break
        # one point of each cluster, since nearest neighbors alone need not connect all of it
        group, unique = labels[group], unique[np.unique(labels, return_index=True)[1]]
    return group


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


def stiffness(lengths: Array, forces: Array) -> Slope:
    r"""Fit the force constant of like bonds, :math:`-f = k (r - r_0)`, r within a tenth of its median.

    Args:
        lengths: (n,) lengths r.
        forces: (n,) force f on the light end of each bond, outwards.

    Returns:
        The slope is k, positive if forces restore.
    """
    middle = np.median(lengths) if len(lengths) else 0.0
    near = abs(lengths - middle) < 0.1 * middle
    r, f = lengths[near], forces[near]
    return slope_of(r - r.mean(), f.mean() - f) if near.any() else slope_of(r, f)
