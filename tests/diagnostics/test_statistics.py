"""Statistics against cases with an answer that is known."""

import numpy as np
import pytest
from ase.build import molecule
from scipy.spatial.transform import Rotation

from pyg_nnp.diagnostics.statistics import (
    clusters,
    energy_deviations,
    nearest_frames,
    outliers,
    slope_of,
    stiffness,
    work_between,
)


def test_slope_is_that_of_scipy_and_ignores_a_broken_point() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 2, 200)
    y = 3 * x + rng.normal(scale=0.1, size=200)
    fit = slope_of(x, y)
    (expected,), (rest,), _, _ = np.linalg.lstsq(x[:, None], y, rcond=None)
    assert fit.slope == pytest.approx(expected)
    assert fit.error == pytest.approx((rest / 199 / (x @ x)) ** 0.5)
    broken = slope_of(np.append(x, 1e6), np.append(y, -1e6))
    assert broken.slope == pytest.approx(fit.slope)
    assert broken.number == 200
    assert slope_of(np.zeros(5), np.ones(5)).correlation == 0


def test_outliers_lie_beyond_a_gap() -> None:
    rng = np.random.default_rng(0)
    values = abs(rng.normal(size=1000))
    assert len(outliers(values, 3.0)) == 0
    values[[5, 7]] = 30.0, 40.0
    assert outliers(values, 7.0).tolist() == [7, 5]
    assert len(outliers(values, 50.0)) == 0
    # a heavy tail, without a gap
    assert len(outliers(np.exp(np.linspace(0, 10, 1000)), 7.0)) == 0
    # too many to be outliers
    values[:100] = 30.0
    assert len(outliers(values, 7.0)) == 0


def test_energy_deviations_by_molecule_and_by_element() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 5, (300, 2))
    Q = rng.integers(-1, 2, 300).astype(float)
    E = counts @ [-0.5, -38.0] - 0.3 * Q + 0.1 * Q**2 + rng.normal(scale=0.01, size=300)
    E[17] += 1.0
    for molecules in (np.arange(300), np.unique(np.column_stack((counts, Q)), axis=0, return_inverse=True)[1].ravel()):
        deviations = energy_deviations(E, counts, Q, molecules)
        assert deviations.argmax() == 17
        assert 50 < deviations[17] < 150
        assert np.delete(deviations, 17).max() < 5
    assert not energy_deviations(E[:10], counts[:10], Q[:10], np.arange(10)).any()
    assert not energy_deviations(np.ones(50), np.ones((50, 1)), np.zeros(50), np.zeros(50)).any()


def test_clusters_are_chains_of_near_points() -> None:
    points = np.array([[0.0, 0.0], [3.0, 0.0], [0.4, 0.0], [0.8, 0.0], [3.0, 0.0], [9.0, 9.0]])
    labels = clusters(points, 0.5)
    assert labels[0] == labels[2] == labels[3]
    assert labels[1] == labels[4]
    assert len(set(labels.tolist())) == 3
    # rounding apart, where nearest neighbors make pairs only
    noisy = np.repeat(np.eye(3), 50, axis=0) + 1e-12 * np.random.default_rng(0).normal(size=(150, 3))
    assert clusters(noisy, 1e-5).reshape(3, 50).std(axis=1).tolist() == [0, 0, 0]
    assert len(set(clusters(noisy, 1e-5).tolist())) == 3
    assert clusters(np.zeros((4, 2)), 0.1).tolist() == [0, 0, 0, 0]


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


def test_stiffness_of_like_bonds() -> None:
    rng = np.random.default_rng(0)
    r = rng.normal(1.1, 0.02, 500)
    f = -0.3 * (r - 1.09) + rng.normal(scale=0.002, size=500)
    fit = stiffness(np.append(r, 3.0), np.append(f, 0.0))
    assert fit.slope == pytest.approx(0.3, rel=0.02)
    assert fit.correlation > 0.9
    assert fit.number == 500
