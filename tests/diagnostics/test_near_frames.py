"""The work between near frames, however they are turned."""

import numpy as np
import pytest
from ase.build import molecule
from scipy.spatial.transform import Rotation

from pyg_nnp.diagnostics.near_frames import nearest_frames, work_between, work_in_cells


def test_work_is_the_energy_difference_of_a_harmonic_potential() -> None:
    """The trapezoidal rule is exact for it; turning and moving changes nothing."""
    rng = np.random.default_rng(0)
    R0 = molecule("CH3OH").positions
    R0 = R0 - R0.mean(axis=0)
    A = rng.normal(size=(18, 18))
    K = A @ A.T
    step = 1e-4 * rng.normal(size=(6, 18))
    # without net force and torque, so that it is the potential of a molecule
    basis = [np.tile(axis, (6, 1)).ravel() for axis in np.eye(3)] + [np.cross(axis, R0).ravel() for axis in np.eye(3)]
    rigid = np.linalg.qr(np.array(basis).T)[0]
    P = np.eye(18) - rigid @ rigid.T
    step = step @ P
    E, Fa = 0.5 * np.einsum("gi,ij,gj->g", step, K, step), -(step @ P @ K @ P).reshape(6, 6, 3)
    Ra = R0 + step.reshape(6, 6, 3)
    for frame, turn in enumerate(Rotation.random(6, rng=rng)):
        Ra[frame], Fa[frame] = turn.apply(Ra[frame]) + rng.normal(size=3), turn.apply(Fa[frame])
    i, j = np.arange(5), np.arange(1, 6)
    work, apart = work_between(Ra, Fa, i, j)
    np.testing.assert_allclose(work, (E[1:] - E[:-1]), rtol=1e-3, atol=1e-3 * abs(E).max())
    assert apart.max() < 1e-3


def test_work_does_not_mirror() -> None:
    rng = np.random.default_rng(0)
    Ra = rng.normal(size=(2, 5, 3))
    Ra[1] = Ra[0] * [1, 1, -1]
    _, apart = work_between(Ra, np.zeros((2, 5, 3)), np.array([0]), np.array([1]))
    assert apart[0] > 0.1


def test_nearest_frames() -> None:
    rng = np.random.default_rng(0)
    Ra = rng.normal(size=(6, 9, 3))
    for k in (0, 2, 4):
        Ra[k + 1] = Rotation.random(rng=rng).apply(Ra[k] + 1e-3 * rng.normal(size=(9, 3))) + 5
    assert nearest_frames(Ra).tolist() == [1, 0, 3, 2, 5, 4]


def strained(G: int, strain: float, pbc: list[bool]) -> tuple[np.ndarray, ...]:
    """Return positions, forces, cells and energies of a crystal of springs in strained cells."""
    rng = np.random.default_rng(2)
    h = np.array([[4.0, 0.0, 0.0], [1.0, 5.0, 0.0], [0.5, -1.0, 6.0]])
    cells = h @ (np.eye(3) + strain * rng.normal(size=(G, 3, 3)))
    away = 1e-3 * rng.normal(size=(G, 5, 3))
    away -= away.mean(axis=1, keepdims=True)
    A = rng.normal(size=(15, 15))
    P = np.kron(np.eye(5) - 1 / 5, np.eye(3))  # no net force
    K = P @ A @ A.T @ P
    x = away.reshape(G, 15)
    volumes = np.linalg.det(cells)
    E = 0.5 * np.einsum("gi,ij,gj->g", x, K, x) + 30.0 * (volumes / volumes.mean() - 1) + 7.0
    # any image of an atom will do
    images = rng.integers(-2, 3, (G, 5, 3)) * pbc
    Ra = (rng.random((5, 3)) + images) @ cells + away
    return Ra, -(x @ K).reshape(G, 5, 3), cells, E


@pytest.mark.parametrize("pbc", [[True, True, True], [True, False, True], [False, True, False]])
def test_work_in_cells_of_a_harmonic_crystal(pbc: list[bool]) -> None:
    """Strain of the cells, images of atoms, and how far frames are apart make no difference."""
    Ra, Fa, cells, E = strained(40, 1e-5 if all(pbc) else 0.0, pbc)
    work, bend, (differences,) = work_in_cells(Ra, Fa, cells, np.array(pbc), E[None], 1e-9)
    assert len(work) == 39
    np.testing.assert_allclose(differences, work, atol=2e-3 * abs(work).max())
    # what the regression takes out is more than what it leaves
    assert E.std() > (3 if all(pbc) else 0.5) * work.std()
    # the same pairs are near each other, whichever images of the atoms are given
    others = np.linalg.solve(cells.transpose(0, 2, 1), Ra.transpose(0, 2, 1)).transpose(0, 2, 1)
    others = (others - np.where(pbc, np.round(others - others[0]), 0.0)) @ cells
    np.testing.assert_allclose(work_in_cells(others, Fa, cells, np.array(pbc), E[None], 1e-9)[0], work, atol=1e-9)
    # random frames are not near each other
    assert np.linalg.norm(bend) > 0.5 * np.linalg.norm(work)


def test_work_in_cells_without_enough_frames() -> None:
    pbc = [True] * 3
    for G, strain, is_judged in ((12, 1e-5, False), (12, 0.0, True), (25, 1e-5, True)):
        Ra, Fa, cells, E = strained(G, strain, pbc)
        assert (work_in_cells(Ra, Fa, cells, np.array(pbc), E[None], 1e-9) is not None) == is_judged
    # copies say nothing
    assert work_in_cells(Ra[:1].repeat(9, 0), Fa[:9], cells[:1].repeat(9, 0), np.array(pbc), E[None, :9], 1e-9) is None
