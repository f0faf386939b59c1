"""Outliers against cases with an answer that is known."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from pyg_nnp.diagnostics.outliers import check_outlying_forces, energy_deviations, outliers


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


def test_forces_that_are_0_by_symmetry_are_no_outliers() -> None:
    rounding = 1e-14 * np.random.default_rng(0).uniform(0.5, 1.5, 40)
    rounding[25] *= 5
    source: Any = SimpleNamespace(frame=str, message=lambda *parts: " ".join(map(str, parts)))
    for unit, expected in ((1.0, 0), (1e13, 1)):
        forces: Any = SimpleNamespace(largest_force=unit * rounding, net_force=unit * rounding)
        assert len(check_outlying_forces(source, forces).findings) == expected


def test_forces_that_are_missing_are_no_outliers() -> None:
    largest = np.random.default_rng(0).uniform(0.5, 1.5, 60)
    largest[::3] = np.nan
    source: Any = SimpleNamespace(frame=str, message=lambda *parts: " ".join(map(str, parts)))
    for factor, expected in ((1.0, 0), (50.0, 1)):
        largest[25] *= factor
        forces: Any = SimpleNamespace(largest_force=largest, net_force=np.where(np.isnan(largest), np.nan, 0.0))
        result = check_outlying_forces(source, forces)
        assert [finding.frames for finding in result.findings] == [(25,)] * expected
        assert "nan" not in result.summary
