"""Labels of the data file that nothing reads."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frame_files import dump
from toy import toy_config, write_config, write_toy

from pyg_nnp.commands import cli


def check(folder: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[int, str]:
    """Check a toy data set, of whose frames some were changed, and return status and output."""
    frames = write_toy(folder, 40)
    for number, more in changes.items():
        frames[int(number)] |= more
    dump(folder / "dataset.pkl", frames)
    document = toy_config(**options)
    targets = document["Datahub"]["targets"]
    document["Modelhub"]["FF01"]["loss"] = {"rmse": dict.fromkeys(targets, 1.0)}
    document["Metrics"] = {"rmse": dict.fromkeys(targets, 1.0)}
    document["Trainer"]["batch_size"] = 5
    write_config(folder, document)
    capsys.readouterr()
    status = cli.main(["check", "train.yaml", "-o", "out"])
    return status, capsys.readouterr().err


def test_forces_that_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    of_energies = {"Datahub__targets": {"E": "energy"}, "Datahub__transforms": {"atomic_energy": "fit"}}
    status, said = check(tmp_path, {}, capsys, **of_energies)
    assert status == 1
    assert (
        "WARNING: dataset.pkl: 'forces' in 40 of 40 frames looks like Fa (forces), and is not read. Add 'Fa: forces' "
        "to Datahub.targets, and Fa to the loss and to Metrics."
    ) in said
    # others are a line, and no warning
    assert "'dipole' in 40 of 40 frames looks like M2 (dipole moment), and is not read." in said
    assert "Warnings: 1." in said
    # it is kept with the store
    status, again = check(tmp_path, {}, capsys, **of_energies)
    assert "preprocessed before" in again
    assert "'forces' in 40 of 40 frames looks like Fa" in again


def test_labels_of_few_frames_and_other_names_are_not_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    both = {"E": "energy", "Fa": "forces"}
    few = {str(number): {"partial_q": np.zeros(3)} for number in range(19)}
    status, said = check(tmp_path, few, capsys, Datahub__targets=both)
    assert status == 0
    assert "partial_q" not in said
