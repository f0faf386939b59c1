"""The work between near frames, however they are turned."""

import numpy as np
from ase.build import molecule
from scipy.spatial.transform import Rotation

from pyg_nnp.diagnostics.near_frames import nearest_frames, work_between


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
