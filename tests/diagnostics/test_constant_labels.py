"""Zeros, or one number, in place of labels are told."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from planted import Frame, report
from small_set import FRAMES, config

from pyg_nnp.data.source import DataSource
from pyg_nnp.diagnostics.constant_labels import check_zero_forces


def checked(frames: list[Frame], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    return report(config(), frames, folder, capsys)[1]


@pytest.mark.parametrize("energy", [0.0, -76.4])
def test_energies_that_are_all_the_same(energy: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = checked([one | {"E": energy} for one in FRAMES], tmp_path, capsys)
    assert f"'energy' (E) is {energy:g} in all of 90 frames. Nothing can be learned of it." in said


@pytest.mark.parametrize("every", [1, 3])
def test_molecules_without_forces(every: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [one | {"Fa": 0 * one["Fa"]} if i % every == 0 else one for i, one in enumerate(FRAMES)]
    said = checked(frames, tmp_path, capsys)
    assert f"'forces' (Fa) is 0 for all atoms in {90 // every} of 90 frames. If these are missing forces" in said


def test_what_has_no_forces_and_one_energy_for_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = np.zeros((1, 3))
    atom = {"Ra": nothing, "Za": np.array([2]), "Q": 0.0, "E": -2.9, "Fa": nothing, "Qa": np.zeros(1)} | {
        "M2": nothing[0]
    }
    for frames in (FRAMES, [FRAMES[0]] * 30, [atom] * 30, [*FRAMES, atom]):
        document = config()
        document["Trainer"] |= {
            "batch_size": 1,
            "Splitter": {"parts": ["training", "validation"], "ratios": [0.5, 0.5]},
        }
        _, said = report(document, frames, tmp_path, capsys)
        assert "Nothing can be learned" not in said
        assert "for all atoms" not in said


def test_crystals_have_no_forces_by_symmetry_and_atoms_by_nature() -> None:
    zeros = np.array([0.0, 0.0, 0.0, 0.3, np.nan])
    of_frames: Any = SimpleNamespace(
        largest_force=zeros, sizes=np.array([1, 4, 5, 5, 5]), periodic=np.array([0, 3, 0, 0, 0])
    )
    result = check_zero_forces(DataSource("a.npz", {"Fa": "F"}), of_frames)
    assert result is not None
    assert [finding.frames for finding in result.findings] == [(2,)]
    of_frames.periodic[2] = 1
    assert check_zero_forces(DataSource("a.npz", {"Fa": "F"}), of_frames) is None
