"""Outliers against cases with an answer that is known."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from planted import Frame, report
from small_set import FRAMES, config

from pyg_nnp.diagnostics.outliers import check_outlying_forces, energy_deviations, outliers
from pyg_nnp.units import HARTREE_IN_EV


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


def of_some(every: int, factor: float = 1.0, shift: float = 0.0) -> list[Frame]:
    """Return frames of which some have other energies, and forces that go with them."""
    other = [one | {"E": factor * one["E"] + shift, "Fa": factor * one["Fa"]} for one in FRAMES]
    return [other[i] if i % every == 0 else one for i, one in enumerate(FRAMES)]


@pytest.mark.parametrize("every", [2, 4, 10])
@pytest.mark.parametrize(("factor", "shift"), [(HARTREE_IN_EV, 0.0), (1 / HARTREE_IN_EV, 0.0), (1.0, 70.0), (0.0, 0.0)])
def test_energies_of_several_levels(
    every: int, factor: float, shift: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = report(config(), of_some(every, factor, shift), tmp_path, capsys)
    assert code, said
    found = re.search(r"\(E\) is in (\d+) of 90 frames up to (\S+) eV for each atom below what fitted energies", said)
    assert found, said
    assert int(found[1]) >= 90 // every
    assert float(found[2]) > 20


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 0.0), (1.0, 500.0), (HARTREE_IN_EV, 0.0)])
def test_one_level(factor: float, shift: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = config()
    document["Modelhub"]["FF01"]["build_params"]["Hartree_in_E"] = factor
    frames = [one | {"E": factor * one["E"] + shift * len(one["Za"]), "Fa": factor * one["Fa"]} for one in FRAMES]
    _, said = report(document, frames, tmp_path, capsys)
    assert "fitted energies of atoms" not in said


def test_a_few_are_outliers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [one | {"E": 0.99 * one["E"]} if i == 7 else one for i, one in enumerate(FRAMES)]
    _, said = report(config(), frames, tmp_path, capsys)
    assert "robust standard deviations from what" in said
    assert "fitted energies of atoms" not in said


def test_atoms_that_are_pushed_into_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [one | {"E": one["E"] + 5.0 + 0.1 * i} if i % 10 == 0 else one for i, one in enumerate(FRAMES)]
    _, said = report(config(), frames, tmp_path, capsys)
    assert "fitted energies of atoms" not in said


def test_of_many_frames_some_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pyg_nnp.diagnostics.outliers._LEVEL_FRAMES", 31)
    _, said = report(config(), of_some(2, 1.0, 70.0), tmp_path, capsys)
    assert re.search(r"\(E\) is in \d+ of 31 frames up to", said), said
