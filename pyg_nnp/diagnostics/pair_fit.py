"""A pair potential fitted to energies and forces of cells, whose stress is by its form the slope of its energy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pyg_nnp.diagnostics.finding import Array
from pyg_nnp.functional.periodic_search import periodic_pairs

_BASIS = 10  # functions of the distance for each pair of elements
_MOST_UNKNOWNS, _ROWS_EACH = 150, 4
_RIDGE = 1e-8
_ROUNDING = 1e-9  # in any unit


@dataclass(frozen=True)
class Crystal:
    """One frame: (N, 3) positions, (N,) atomic numbers, lattice vectors, directions, and labels; no forces are NaN."""

    Ra: Array
    Za: Array
    cell: Array
    pbc: Array
    E: float
    Fa: Array
    S: Array


@dataclass(frozen=True)
class PairFit:
    """A pair potential.

    Attributes:
        unexplained: share of the variance of energies and forces that it leaves.
        by_strain: (G, 6) derivatives of its energies by the strain, in the order of ASE [energy].
    """

    unexplained: float
    by_strain: Array


def fit_pairs(crystals: Sequence[Crystal], cutoff: float) -> PairFit | None:
    """Fit a pair potential that ends at a cutoff [length]; None where there are too few numbers to fit it to."""
    elements = np.unique(np.concatenate([crystal.Za for crystal in crystals]))
    unknowns = _BASIS * len(elements) * (len(elements) + 1) // 2
    rows = sum(1 + int(np.isfinite(crystal.Fa).sum()) for crystal in crystals)
    if unknowns > _MOST_UNKNOWNS or rows < _ROWS_EACH * (unknowns + len(elements)):
        return None
    of_frames = [_linear(crystal, elements, cutoff) for crystal in crystals]
    counts = np.stack([(crystal.Za[:, None] == elements).sum(axis=0) for crystal in crystals])  # (G, L)
    sizes = counts.sum(axis=1, keepdims=True)
    # energies per atom, whose variance is that beyond the energies of the elements
    A_E = np.concatenate((np.stack([energy for energy, _, _ in of_frames]), counts), axis=1) / sizes
    y_E = np.array([crystal.E for crystal in crystals]) / sizes[:, 0]
    y_E = y_E - _projected(counts / sizes, y_E)
    A_F = np.concatenate([force.reshape(-1, unknowns) for _, force, _ in of_frames])
    y_F = np.concatenate([crystal.Fa.ravel() for crystal in crystals])
    known = np.isfinite(y_F)
    A_F, y_F = np.pad(A_F[known], ((0, 0), (0, len(elements)))), y_F[known]
    # forces that are 0 by symmetry are rounding
    blocks = [(A, y) for A, y in ((A_E, y_E), (A_F, y_F)) if len(y) and y.std() > _ROUNDING]
    if not blocks:
        return None
    # each kind of label counts as much as the other
    A = np.concatenate([A / (y.std() * len(y) ** 0.5) for A, y in blocks])
    y = np.concatenate([y / (y.std() * len(y) ** 0.5) for _, y in blocks])
    scale = np.linalg.norm(A, axis=0)
    A = A / np.where(scale == 0, 1, scale)
    ridge = _RIDGE**0.5 * np.eye(A.shape[1])
    found = np.linalg.lstsq(np.concatenate((A, ridge)), np.pad(y, (0, len(ridge))))[0]
    unexplained = float(np.square(A @ found - y).sum() / len(blocks))
    pairs = (found / np.where(scale == 0, 1, scale))[:unknowns]
    return PairFit(unexplained, np.stack([strain @ pairs for _, _, strain in of_frames]))


def _projected(A: Array, y: Array) -> Array:
    found: Array = A @ np.linalg.lstsq(A, y)[0]
    return found


def _linear(crystal: Crystal, elements: Array, cutoff: float) -> tuple[Array, Array, Array]:
    """Return (U,) energy, (N, 3, U) forces and (6, U) derivatives by strain for each unknown, at 1 of it."""
    (j, i), T = periodic_pairs(crystal.Ra, crystal.cell, crystal.pbc, cutoff)
    vectors = crystal.Ra[j] - crystal.Ra[i] + T @ np.where(crystal.pbc[:, None], crystal.cell, 0.0)  # (P, 3)
    # with cells that are not the right ones atoms may coincide
    r = np.maximum(np.linalg.norm(vectors, axis=1), 1e-3 * cutoff)  # (P,)
    a, b = (np.searchsorted(elements, crystal.Za[index]) for index in (i, j))
    kind = np.maximum(a, b) * (np.maximum(a, b) + 1) // 2 + np.minimum(a, b)  # (P,)
    values, slopes = np.stack(list(_basis(r, cutoff)), axis=2)  # (P, K)
    kinds, N = len(elements) * (len(elements) + 1) // 2, len(crystal.Za)
    energy, strain = np.zeros((kinds, _BASIS)), np.zeros((kinds, 6, _BASIS))
    forces = np.zeros((N, 3, kinds, _BASIS))
    outwards = vectors / r[:, None]  # (P, 3)
    virial = vectors[:, [0, 1, 2, 1, 0, 0]] * outwards[:, [0, 1, 2, 2, 2, 1]]  # (P, 6)
    for number in range(kinds):
        own = kind == number
        energy[number] = values[own].sum(axis=0)
        strain[number] = virial[own].T @ slopes[own]
        push = outwards[own][:, :, None] * slopes[own][:, None, :]  # (P, 3, K)
        np.add.at(forces[:, :, number], i[own], push)
        np.subtract.at(forces[:, :, number], j[own], push)
    return energy.ravel(), forces.reshape(N, 3, -1), strain.transpose(1, 0, 2).reshape(6, -1)


def _basis(r: Array, cutoff: float) -> Iterator[Array]:
    """Yield (2, P) values and slopes of sin(k pi r / r_c) / r (1 - (r / r_c)^2)^2 for each k."""
    x = r / cutoff
    envelope, slope = (1 - x**2) ** 2, -4 * x * (1 - x**2) / cutoff
    for k in np.arange(1, _BASIS + 1) * np.pi / cutoff:
        wave = np.sin(k * r) / r
        by_r = k * np.cos(k * r) / r - wave / r
        yield np.stack((wave * envelope, by_r * envelope + wave * slope))
