"""Energies of several units, methods or references in one data set are told."""

import re
from pathlib import Path

import pytest
from planted import Frame, report
from small_set import FRAMES, config

from pyg_nnp.units import HARTREE_IN_EV


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
    monkeypatch.setattr("pyg_nnp.diagnostics.energy_levels._FRAMES", 31)
    _, said = report(config(), of_some(2, 1.0, 70.0), tmp_path, capsys)
    assert re.search(r"\(E\) is in \d+ of 31 frames up to", said), said
