import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from command_line import MODEL, water
from frame_files import dump
from toy import ATOM_ENERGIES, toy_config, write_config, write_toy

from pyg_nnp.commands import cli
from pyg_nnp.inference.evaluate import configuration_for
from pyg_nnp.potential.checkpoint import load_potential
from pyg_nnp.runtime.data_path import DataPath


def test_evaluate_takes_the_charge_of_predictions(trained_folder: Path, tmp_path: Path) -> None:
    potential = load_potential(MODEL)
    del potential.spec["config"]["Datahub"]["features"]["Q"]
    atoms = water(1)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    ase.io.write(tmp_path / "one.xyz", atoms)
    names = {"Ra": "positions", "Za": "numbers"}
    for given, expected in (({}, "charge"), ({"Q": "natoms"}, "natoms")):
        config = configuration_for(potential, DataPath.of(tmp_path / "one.xyz"), names | given, {})
        assert config.Datahub.features["Q"] == expected


def test_isolated_atoms_that_gave_reference_energies_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither do they count as compositions or charges that the potential was trained on."""
    monkeypatch.chdir(tmp_path)
    frames = write_toy(tmp_path, 24)
    for frame in frames:
        frame["total_charge"] = 1
        frame["atomic_charges"] += 1 / len(frame["atomic_charges"])
    atoms = [
        {"coordinates": np.zeros((1, 3)), "atomic_numbers": [Z], "number_of_atoms": 1, "total_charge": 0, "energy": E}
        for Z, E in ATOM_ENERGIES.items()
    ]
    dump(tmp_path / "dataset.pkl", [*atoms, *frames])
    transforms = {"atomic_energy": "isolated", "negative_gradient": True}
    write_config(tmp_path, toy_config(Datahub__transforms=transforms))
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    assert "no layer" not in capsys.readouterr().err
    domain = load_potential("out/FF01-SchNet").domain
    assert domain.charges == (1.0,)
    assert not {"C", "H", "O"} & {*domain.compositions}
    assert cli.main(["evaluate", "out/FF01-SchNet", "dataset.pkl", "--json", "errors.json"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    what = f"{len(atoms)} of {24 + len(atoms)} frames are isolated atoms, which gave training its reference energies"
    assert f"{what}: not compared" in said
    assert "predictions may mean nothing" not in said
    assert json.loads(Path("errors.json").read_text())["E"]["all"]["count"] == 24
