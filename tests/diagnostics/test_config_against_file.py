"""Labels and units that the data file has and the configuration does not are told."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_line import FEATURES, TARGETS, toy_arrays
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


def test_energies_that_cannot_be_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with them, the message on the name says it when it is added."""
    monkeypatch.chdir(tmp_path)
    of_forces = {"Datahub__targets": {"Fa": "forces"}, "Datahub__transforms": {"negative_gradient": True}}
    for broken in ("failed", np.zeros(3), [[1.0, 2.0]]):
        status, said = check(tmp_path, {str(i): {"energy": broken} for i in range(40)}, capsys, **of_forces)
        assert status == 1
        assert "'energy' in 40 of 40 frames looks like E (total energy), and is not read. Add 'E: energy'" in said
    status, said = check(tmp_path, {"0": {"energy": "failed"}}, capsys, **of_forces | {"Datahub__targets": TARGETS})
    assert status == 2
    assert "frame 0: 'energy' (E) holds text, such as 'failed'" in said


def test_labels_under_two_names_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where files of two programs are one data set."""
    monkeypatch.chdir(tmp_path)
    partial = {
        "Datahub__targets": TARGETS,
        "Datahub__allow_missing": ["E"],
        "Datahub__transforms": {"atomic_energy": None},
    }
    partial["Datahub__transforms"] |= {"negative_gradient": True}
    for number, is_told in ((15, True), (40, False)):
        changes = {str(i): {"dft_energy": -76.0} | ({"energy": None} if i < 15 else {}) for i in range(number)}
        _, said = check(tmp_path, changes, capsys, **partial)
        what = (
            "'dft_energy' looks like E, too, in 15 frames that have no 'energy'. Give it the same name in all frames."
        )
        assert (what in said) == is_told, said


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


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"energy_unit": "Hartree", "length_unit": "Ang"}, []),
        ({"units": "a.u./Ang"}, []),
        ({"E_unit": "eV"}, ["Hartree_in_E: 1 means Hartree, but toy.npz is in eV, as 'E_unit' says. Set it to 27.21"]),
        ({"r_unit": b"Bohr"}, ["Bohr_in_R: 0.529177 means Å, but toy.npz is in Bohr, as 'r_unit' says. Set it to 1,"]),
        ({"units": "kcal/mol, nm"}, ["Hartree_in_E: 1 means Hartree", "Bohr_in_R: 0.529177 means Å"]),
        (
            {"force_unit": "Hartree/Bohr", "E_unit": "Hartree", "R_unit": "Å"},
            ["Hartree/Å: multiply by 1.88972613"],
        ),
        ({"dipole_unit": "Debye", "R_unit": "Å"}, ["it has to be e Å: multiply by 0.208194"]),
        ({"units": "mine"}, ["toy.npz: 'units' is 'mine', which is no known unit."]),
    ],
)
def test_units_that_the_file_states(
    folder: Path, capsys: pytest.CaptureFixture[str], texts: dict[str, str | bytes], expected: list[str]
) -> None:
    """They are compared with the configuration before a training, and by check."""
    arrays, sources = toy_arrays(), FEATURES | TARGETS
    np.savez("toy.npz", **{sources[name]: arrays[name] for name in sources}, **texts)
    document = toy_config(Datahub__data_path="toy.npz", Datahub__data_format="npz", Trainer__max_epochs=1)
    write_config(folder, yaml.safe_dump(document))
    assert cli.main(["check", "train.yaml", "-o", "out"]) == (1 if expected else 0)
    told = capsys.readouterr().err
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    trained = capsys.readouterr().err
    for said in (told, trained):
        assert all(text in said for text in expected), said
    assert ("WARNING" in told) == bool(expected)
