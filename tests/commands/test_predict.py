"""pyg-nnp predict."""

from pathlib import Path

import ase.io
import h5py
import numpy as np
import programs
import pytest
import torch
import yaml
from ase import Atoms
from command_line import MODEL, TARGETS, refused, toy_arrays, water
from several_processes import run_together
from toy import toy_config, write_config, write_toy

import pyg_nnp
from pyg_nnp.commands import cli
from pyg_nnp.config import config_from_dict
from pyg_nnp.data.formats.readers import read_blocks
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.units import BOHR_IN_ANGSTROM


def test_predict_for_ase(trained_folder: Path, tmp_path: Path) -> None:
    """Results are those of the calculator, in eV and Å, from a format that only ASE reads."""
    structures = [water(), Atoms("CH4", np.array([[0, 0, 0], [1, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1]]) * 0.63)]
    ase.io.write(tmp_path / "structures.traj", structures)
    assert cli.main(["predict", MODEL, str(tmp_path / "structures.traj"), "-o", str(tmp_path / "out.extxyz")]) == 0
    calculator = PotentialCalculator(MODEL)
    for atoms, given in zip(ase.io.read(tmp_path / "out.extxyz", ":"), structures, strict=True):
        given.calc = calculator
        assert atoms.positions == pytest.approx(given.positions, abs=1e-7)
        assert atoms.get_potential_energy() == pytest.approx(given.get_potential_energy(), rel=1e-7)
        assert atoms.get_forces() == pytest.approx(given.get_forces(), abs=1e-5)
        assert atoms.get_charges() == pytest.approx(given.get_charges(), abs=1e-5)
        assert atoms.get_dipole_moment() == pytest.approx(given.get_dipole_moment(), abs=1e-5)


@pytest.mark.parametrize("ending", ["npz", "h5"])
def test_predict_to_arrays(trained_folder: Path, tmp_path: Path, ending: str) -> None:
    """From the format of the training, in its units, to a file that the readers read back."""
    out = tmp_path / f"out.{ending}"
    assert cli.main(["predict", MODEL, "dataset.pkl", "-o", str(out)]) == 0
    standard = {name: name for name in ("N", "Ra", "Za", "Q", "E", "Fa", "Qa", "M2")}
    (block,) = read_blocks(out, {"h5": "hdf5"}.get(ending, ending), standard)
    given = toy_arrays()
    for name in ("N", "Ra", "Za", "Q"):
        assert np.array_equal(block.arrays[name], given[name])
    batch = pyg_nnp.data.MoleculeDataset.from_config(config_from_dict(toy_config()), "out").batch(torch.arange(24))
    predicted = pyg_nnp.load_potential(MODEL)(batch)
    for name in ("E", "Fa", "Qa", "M2"):
        assert block.arrays[name] == pytest.approx(predicted[name].double().numpy(), rel=1e-5, abs=1e-5)
    if ending == "h5":
        with h5py.File(out) as file:
            assert dict(file.attrs) == {"energy_unit": "Hartree", "length_unit": "Angstrom"}


def test_predict_in_pieces(trained_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["predict", MODEL, "dataset.pkl", "-o", str(tmp_path / "whole.npz")]) == 0
    monkeypatch.setattr("pyg_nnp.inference.predict.ATOMS_TO_EVALUATE", 7)  # C2H6 has 8
    assert cli.main(["predict", MODEL, "dataset.pkl", "-o", str(tmp_path / "pieces.npz")]) == 0
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "pieces.npz") as pieces:
        assert sorted(whole) == sorted(pieces)
        for name in ("N", "Ra", "Za", "Q", "E", "Fa", "Qa", "M2"):
            assert pieces[name] == pytest.approx(whole[name], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("ending", ["npz", "h5", "extxyz"])
def test_predict_to_a_full_disk(trained_folder: Path, tmp_path: Path, ending: str) -> None:
    """In a process of its own, which HDF5 would end without a word."""
    out = tmp_path / f"out.{ending}"
    program = "import resource, sys; from pyg_nnp.commands import cli; "
    program += "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)); sys.exit(cli.main(sys.argv[1:]))"
    status, _, errors = programs.run(["-c", program, "predict", MODEL, "dataset.pkl", "-o", str(out)])
    assert status == cli.USER_ERROR, errors
    assert "File too large" in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("atoms", [7, 8192])  # in pieces, and at once
def test_predictions_that_are_no_numbers(
    trained_folder: Path,
    tmp_path: Path,
    atoms: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pyg_nnp.inference.predict.ATOMS_TO_EVALUATE", atoms)
    frames = [water(0) for _ in range(4)]
    frames[2].positions[1] = [0.0, 1e30, 0.0]
    ase.io.write(tmp_path / "far.xyz", frames)
    said = refused(capsys, "predict", MODEL, str(tmp_path / "far.xyz"), "-o", str(tmp_path / "out.npz"))
    assert "far.xyz: frame 2: predictions of E, Fa are no numbers. Farthest out is atom 1, at (0, 1e+30, 0)." in said
    assert not (tmp_path / "out.npz").exists()


def test_predict_takes_bohr_of_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path)
    document = toy_config(Trainer__max_epochs=1)
    document["Modelhub"]["FF01"]["build_params"] |= {"Bohr_in_R": 1.0, "cutoff_sr": 8.0}
    arrays = toy_arrays()
    np.savez("bohr.npz", **(arrays | {"Ra": arrays["Ra"] / BOHR_IN_ANGSTROM}))
    hub = document["Datahub"]
    hub |= {"data_path": "bohr.npz", "data_format": "npz", "features": {name: name for name in ("N", "Ra", "Za", "Q")}}
    hub["targets"] = {name: name for name in TARGETS}
    write_config(tmp_path, yaml.safe_dump(document))
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    ase.io.write("water.xyz", water())
    assert cli.main(["predict", MODEL, "water.xyz", "-o", "out.extxyz"]) == 0
    atoms = water()
    atoms.calc = PotentialCalculator(MODEL)
    found = ase.io.read("out.extxyz")
    assert found.positions == pytest.approx(atoms.positions, abs=1e-7)
    assert found.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), rel=1e-7)


def test_predict_says_what_is_closer_than_in_training(
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    close = water()
    close.positions *= BOHR_IN_ANGSTROM
    for name, atoms in (("fair.xyz", water()), ("close.xyz", close)):
        ase.io.write(tmp_path / name, atoms)
        assert cli.main(["predict", MODEL, str(tmp_path / name), "-o", str(tmp_path / f"of_{name}")]) == 0
        said = capsys.readouterr().err
        assert ("WARNING: Atoms come closer than in the training data" in said) == (name == "close.xyz")


def test_predict_says_which_charges_it_never_saw(
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ase.io.write(tmp_path / "ions.xyz", [water(0), water(1)], format="extxyz")
    assert cli.main(["predict", MODEL, str(tmp_path / "ions.xyz"), "-o", str(tmp_path / "out.xyz")]) == 0
    assert "trained on total charges 0, not on 1" in " ".join(capsys.readouterr().err.split())
    again = ["predict", MODEL, str(tmp_path / "out.xyz"), "-o", str(tmp_path / "again.npz")]
    assert (
        cli.main(again) == 0
    )  # what was written has the charges, by which atoms and molecules are called alike in ASE
    with np.load(tmp_path / "again.npz") as arrays:
        assert arrays["Q"].tolist() == [0, 1]
    neutral, ion = ase.io.read(tmp_path / "out.xyz", ":")
    assert neutral.get_charges().sum() == pytest.approx(0, abs=1e-5)
    assert ion.get_charges().sum() == pytest.approx(1, abs=1e-5)


def test_mistakes_in_predict(trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.xyz")
    ase.io.write(tmp_path / "gold.xyz", Atoms("AuH", [[0, 0, 0], [0, 0, 1.5]]))
    assert "gold.xyz: frame 0: this potential was not trained on Au" in refused(
        capsys, "predict", MODEL, str(tmp_path / "gold.xyz"), "-o", out
    )
    box = water()
    box.set_cell([9, 9, 9])
    box.pbc = True
    for name in ("box.xyz", "box.traj"):
        ase.io.write(tmp_path / name, box)
        assert "the cell is periodic" in refused(capsys, "predict", MODEL, str(tmp_path / name), "-o", out)
    (tmp_path / "text.foo").write_text("what is this\n")
    assert "ASE cannot read this file" in refused(capsys, "predict", MODEL, str(tmp_path / "text.foo"), "-o", out)
    assert "the ending says the format" in refused(capsys, "predict", MODEL, "dataset.pkl", "-o", "out.txt")
    kept = tmp_path / "kept.npz"
    kept.touch()
    assert "is there already" in refused(capsys, "predict", MODEL, "dataset.pkl", "-o", str(kept))
    assert not Path(out).exists()
    assert not list(tmp_path.glob(".*"))


def test_structures_far_from_the_origin(trained_folder: Path, tmp_path: Path) -> None:
    """As in a frame of dynamics that has drifted; energies, forces and charges are those of the molecule."""
    for name, shift in (("near", 0.0), ("far", 20000.0)):
        atoms = water(charge=0)
        atoms.positions += shift
        ase.io.write(tmp_path / f"{name}.traj", atoms)
        given, out = str(tmp_path / f"{name}.traj"), str(tmp_path / f"{name}.npz")
        assert cli.main(["predict", MODEL, given, "-o", out]) == 0
    near, far = (dict(np.load(tmp_path / f"{name}.npz")) for name in ("near", "far"))
    for name in ("E", "Fa", "Qa"):
        np.testing.assert_allclose(far[name], near[name], rtol=1e-7, atol=1e-7)


def test_several_processes_evaluate_and_predict(trained_folder: Path) -> None:
    """They share the work, and write what one would."""
    assert cli.main(["predict", MODEL, "dataset.pkl", "-o", "one.extxyz"]) == 0
    assert cli.main(["evaluate", MODEL, "dataset.pkl", "--csv", "one.csv"]) == 0
    program = "import sys; from pyg_nnp.commands import cli; sys.exit(cli.main(sys.argv[1:]))"
    shown = run_together(Path.cwd(), 2, "-c", program, "predict", MODEL, "dataset.pkl", "-o", "two.extxyz")
    assert shown == ["two.extxyz: 24 structures.\n", ""]
    shown = run_together(Path.cwd(), 2, "-c", program, "evaluate", MODEL, "dataset.pkl", "--csv", "two.csv")
    assert "RMSE" in shown[0]
    assert not shown[1]
    for name in ("extxyz", "csv"):
        assert Path(f"two.{name}").read_text() == Path(f"one.{name}").read_text()
