"""Pairs in periodic cells, against all images of all atoms by brute force."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_nnp.errors import DataError
from pyg_nnp.functional.periodic_search import periodic_pairs

Array = NDArray[np.float64]
Pairs = set[tuple[int, ...]]


def translations(Ra: Array, cell: Array, pbc: NDArray[np.bool_], cutoff: float) -> NDArray[np.int64]:
    """As many as any pair could need: T_k is at most the length of a vector times that of the reciprocal vector."""
    apart = np.linalg.norm(Ra[:, None] - Ra, axis=2).max()
    lengths = np.linalg.norm(np.linalg.pinv(np.where(pbc[:, None], cell, 0)), axis=0)
    return np.floor((cutoff + apart) * lengths + 1e-9).astype(int) * pbc


def brute_force(Ra: Array, cell: Array, pbc: NDArray[np.bool_], cutoff: float) -> Pairs:
    """All (i, j, T) with j > i, or j = i and T > 0."""
    T = np.array(list(product(*(range(-n, n + 1) for n in translations(Ra, cell, pbc, cutoff)))))
    shifts = T @ np.where(pbc[:, None], cell, 0)
    found: Pairs = set()
    for i in range(len(Ra)):
        for j in range(i, len(Ra)):
            near = np.linalg.norm(Ra[j] + shifts - Ra[i], axis=1) < cutoff
            found |= {(i, j, *t) for t in T[near].tolist() if j > i or tuple(t) > (0, 0, 0)}
    return found


def as_set(pairs: NDArray[np.int64], T: NDArray[np.int64]) -> Pairs:
    rows = [(int(i), int(j), *map(int, t)) for (j, i), t in zip(pairs.T, T, strict=True)]
    assert len(set(rows)) == len(rows)
    assert rows == sorted(rows)
    return set(rows)


def random_case(seed: int) -> tuple[Array, Array, NDArray[np.bool_], float]:
    """A cell that is cubic, triclinic, left-handed, flat or tiny, periodic in any directions; atoms anywhere."""
    rng = np.random.default_rng(seed)
    kind = seed % 5
    while True:
        cell = rng.normal(size=(3, 3)) if kind else np.eye(3)
        cell *= (4.0, 3.0, 5.0, 1.2, 2.0)[kind] / abs(np.linalg.det(cell)) ** (1 / 3)
        if kind == 2:
            cell[rng.integers(3)] *= 0.15
        pbc = rng.random(3) < 0.7
        places = rng.uniform(0, 1, (rng.integers(1, 6), 3))
        if seed % 3 == 0:
            places += rng.integers(-2, 3, places.shape)
        case = places @ cell, cell, pbc, float(rng.uniform(1.0, 3.0))
        if (2 * translations(*case) + 1.0).prod() < 20_000:  # else brute force takes minutes
            return case


@pytest.mark.parametrize("first", range(0, 500, 50))
def test_random_cells(first: int) -> None:
    for seed in range(first, first + 50):
        case = random_case(seed)
        assert as_set(*periodic_pairs(*case)) == brute_force(*case), seed


def test_atoms_far_outside_of_the_cell_have_the_same_pairs() -> None:
    rng = np.random.default_rng(1)
    cell = np.array([[4.0, 0, 0], [1.0, 5.0, 0], [-2.0, 1.0, 3.0]])
    Ra = rng.uniform(0, 1, (5, 3)) @ cell
    moved = rng.integers(-10_000, 10_000, (5, 3))
    (j, i), T = periodic_pairs(Ra, cell, np.ones(3), 4.0)
    far, of_far = periodic_pairs(Ra + moved @ cell, cell, np.ones(3), 4.0)
    rows = np.column_stack((i, j, T + moved[i] - moved[j]))
    assert as_set(far, of_far) == {tuple(row) for row in rows.tolist()}
    assert len(rows) > 20


def test_simple_cubic_by_hand() -> None:
    """6 neighbors at 1, 12 at the square root of 2, 8 at that of 3: half of each."""
    for cutoff, count in ((1.0, 0), (1.1, 3), (1.5, 9), (1.8, 13)):
        pairs, T = periodic_pairs(np.zeros((1, 3)), np.eye(3), np.ones(3), cutoff)
        assert pairs.shape == (2, count)
        assert (pairs == 0).all()
        assert T.shape == (count, 3)


def test_an_oblique_choice_of_lattice_vectors_gives_the_same_distances() -> None:
    cell = np.array([[2.0, 0, 0], [0.3, 2.2, 0], [0, 0.1, 2.5]])
    other = np.array([[1, 7, 0], [0, 1, 0], [5, -30, 1]]) @ cell
    Ra = np.random.default_rng(2).uniform(0, 1, (3, 3)) @ cell
    distances = []
    for h in (cell, other):
        (j, i), T = periodic_pairs(Ra, h, np.ones(3), 5.0)
        distances.append(np.sort(np.linalg.norm(Ra[j] + T @ h - Ra[i], axis=1)))
    np.testing.assert_allclose(*distances, rtol=1e-10)


def test_without_periodic_directions() -> None:
    Ra = np.array([[0.0, 0, 0], [1, 0, 0], [9, 0, 0]])
    pairs, T = periodic_pairs(Ra, np.zeros((3, 3)), np.zeros(3), 2.0)
    assert pairs.tolist() == [[1], [0]]
    assert T.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("cell", [np.zeros((3, 3)), np.diag([1.0, 1, 0]), np.ones((3, 3)), np.full((3, 3), np.nan)])
def test_cells_without_volume(cell: Array) -> None:
    with pytest.raises(DataError, match=r"span no cell in the periodic directions .* set pbc to false"):
        periodic_pairs(np.zeros((1, 3)), cell, np.ones(3), 2.0)


def test_too_many_images() -> None:
    with pytest.raises(DataError, match="its 100 atoms have too many images within the cutoff"):
        periodic_pairs(np.zeros((100, 3)), np.eye(3) * 1e-4, np.ones(3), 5.0)
