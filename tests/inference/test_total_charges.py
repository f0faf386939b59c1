"""The charge of a structure is the same for all that read it, under whatever usual name it stands."""

import json
import pickle
from pathlib import Path
from typing import Any

import ase.io
import h5py
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from command_line import refused, water
from toy import toy_config, write_config, write_toy

from pyg_nnp.commands import cli
from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.evaluate import evaluate_file
from pyg_nnp.potential.checkpoint import load_potential

MODEL = "out/FF01-SchNet"


@pytest.fixture(scope="module")
def ions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that was trained on charges of 0 and 1, which the data call ``total_charge``."""
    folder = tmp_path_factory.mktemp("ions")
    frames = write_toy(folder, names=("H2O", "CH4"))
    for number, frame in enumerate(frames):
        Q = number % 4 // 2
        frame |= {"total_charge": Q, "energy": frame["energy"] + 0.3 * Q}
        frame["atomic_charges"] = frame["atomic_charges"] + Q / frame["number_of_atoms"]
    (folder / "dataset.pkl").write_bytes(pickle.dumps(frames))
    write_config(folder, toy_config(Trainer__max_epochs=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    return folder


@pytest.fixture
def here(ions: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ions)
    return ions


def said(**info: Any) -> Atoms:
    atoms = water()
    atoms.info |= info
    return atoms


def predicted(structures: list[Atoms], folder: Path, *options: str) -> np.ndarray:
    ase.io.write(folder / "in.xyz", structures, format="extxyz")
    out = folder / f"out{len(list(folder.iterdir()))}.npz"
    assert cli.main(["predict", MODEL, str(folder / "in.xyz"), "-o", str(out), *options]) == 0
    with np.load(out) as arrays:
        totals = np.add.reduceat(arrays["Qa"], np.cumsum(arrays["N"]) - arrays["N"])
        assert totals == pytest.approx(arrays["Q"], abs=1e-5)
        return arrays["Q"]


NAMES = ["total_charge", "charge", "Q", "net_charge", "molecular_charge", "Charge", "tot_charge", "q_tot"]


def test_predict_reads_usual_names(here: Path, tmp_path: Path) -> None:
    assert predicted([said(**{name: 1}) for name in NAMES], tmp_path).tolist() == [1] * len(NAMES)


def test_predict_reads_what_it_wrote(here: Path, tmp_path: Path) -> None:
    ase.io.write(tmp_path / "in.xyz", [said(total_charge=1), said(total_charge=0)], format="extxyz")
    (tmp_path / "first.xyz").unlink(missing_ok=True)
    assert cli.main(["predict", MODEL, str(tmp_path / "in.xyz"), "-o", str(tmp_path / "first.xyz")]) == 0
    assert predicted(ase.io.read(tmp_path / "first.xyz", ":"), tmp_path).tolist() == [1, 0]


@pytest.mark.parametrize("name", ["total_charge", "charge", "Q"])
@pytest.mark.parametrize("ending", ["npz", "h5"])
@pytest.mark.parametrize("one_for_all", [True, False])
def test_predict_reads_arrays(here: Path, tmp_path: Path, name: str, ending: str, one_for_all: bool) -> None:
    atoms = water()
    arrays = {
        "coordinates": np.stack([atoms.positions] * 4),
        "atomic_numbers": np.stack([atoms.numbers] * 4),
        name: np.array(1) if one_for_all else np.array([1, 1, 1, 0]),
    }
    path = tmp_path / f"in.{ending}"
    if ending == "npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for key, values in arrays.items():
                file[key] = values
    assert cli.main(["predict", MODEL, str(path), "-o", str(tmp_path / "out.npz")]) == 0
    with np.load(tmp_path / "out.npz") as found:
        assert found["Q"].tolist() == [1, 1, 1, int(one_for_all)]


def test_a_second_array_of_charges_is_told(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    atoms = water()
    shared = {"coordinates": np.stack([atoms.positions] * 4), "atomic_numbers": np.stack([atoms.numbers] * 4)}
    np.savez(tmp_path / "in.npz", **shared, charge=np.ones(4), net_charge=np.zeros(4), q=np.zeros((4, 3)))
    assert cli.main(["predict", MODEL, str(tmp_path / "in.npz"), "-o", str(tmp_path / "out.npz")]) == 0
    message = " ".join(capsys.readouterr().err.split())
    assert "in.npz: total charges are those of 'charge'; not read: net_charge." in message
    with np.load(tmp_path / "out.npz") as found:
        assert found["Q"].tolist() == [1] * 4


def test_structures_that_say_nothing(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predicted([said(charge=1), water()], tmp_path).tolist() == [1, 0]
    assert "1 of 2 structures say no total charge; it is taken to be 0" in " ".join(capsys.readouterr().err.split())


def test_nothing_is_said_where_no_charge_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path)
    document = toy_config(Trainer__max_epochs=1)
    model = document["Modelhub"]["FF01"]
    kept = ("RangeSeparation", "GaussianSmearing", "RandomAtomEmbedding", "Core", "EnergyReduce", "Force")
    model["layers"] = [entry for entry in model["layers"] if entry["name"] in kept]
    model["loss"] = document["Metrics"] = {"rmse": {"E": 1.0, "Fa": 1.0}}
    write_config(tmp_path, document)
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    ase.io.write("in.xyz", water(), format="extxyz")
    capsys.readouterr()
    assert cli.main(["predict", MODEL, "in.xyz", "-o", "out.npz"]) == 0
    Path("simulate.yaml").write_text(f"model: {MODEL}\nstructure: in.xyz\nsingle_point: {{}}\n")
    assert cli.main(["simulate", "simulate.yaml", "-o", "simulated"]) == 0
    assert "total charge" not in capsys.readouterr().err


def test_charges_as_text(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What training reads as a total charge is one for all others, too."""
    atoms = water()
    one = {"coordinates": atoms.positions, "atomic_numbers": atoms.numbers}
    frames = [{**one, "charge": "[OH3+]"}, {**one, "charge": "1"}, one, {**one, "charge": "O"}]
    (tmp_path / "in.pkl").write_bytes(pickle.dumps(frames))
    assert cli.main(["predict", MODEL, str(tmp_path / "in.pkl"), "-o", str(tmp_path / "out.npz")]) == 0
    assert "1 of 4 structures say no total charge; it is taken to be 0" in " ".join(capsys.readouterr().err.split())
    with np.load(tmp_path / "out.npz") as found:
        assert found["Q"].tolist() == [1, 1, 0, 0]
    energies = []
    for charge in ("[OH3+]", 1):
        atoms = said(charge=charge)
        atoms.calc = PotentialCalculator(MODEL)
        energies.append(atoms.get_potential_energy())
    assert energies[0] == energies[1]


def test_a_charge_that_is_given(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predicted([said(charge=1), said(charge=1.0), water()], tmp_path, "--charge", "1").tolist() == [1] * 3
    assert "total charge" not in capsys.readouterr().err
    assert predicted([said(total_charge=1), water()], tmp_path, "--charge", "0").tolist() == [0, 0]
    assert "in.xyz: the total charge 0 was given; the file says 1." in " ".join(capsys.readouterr().err.split())


WRONG = [
    ({"total_charge": 0, "charge": 1}, "two total charges: 'total_charge' is 0, but 'charge' is 1"),
    ({"charge": "cation"}, "'charge' is 'cation', but the total charge is one number"),
    ({"charge": np.inf}, "'charge' is 'inf', but the total charge is one number"),
    ({"charge": np.array([1, 0])}, r"'charge' is '[1 0]', but the total charge is one number"),
]


@pytest.mark.parametrize(("info", "message"), WRONG)
def test_what_cannot_be_a_charge(
    here: Path, tmp_path: Path, info: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same message from the calculator, from predict and from simulate."""
    atoms = said(**info)
    atoms.calc = PotentialCalculator(MODEL)
    with pytest.raises(DataError) as error:
        atoms.get_potential_energy()
    assert f"atoms.info: {message}" in str(error.value)
    ase.io.write(tmp_path / "in.traj", [said(charge=1), said(**info)])
    arguments = ["predict", MODEL, str(tmp_path / "in.traj"), "-o", str(tmp_path / "out.npz")]
    assert f"in.traj: frame 1: {message}" in refused(capsys, *arguments)
    simulation = {"model": str(here / MODEL), "structure": str(tmp_path / "in.traj"), "single_point": None}
    (tmp_path / "sim.yaml").write_text(yaml.safe_dump(simulation))
    arguments = ["simulate", str(tmp_path / "sim.yaml"), "-o", str(tmp_path / "sim")]
    assert f"in.traj: {message}" in refused(capsys, *arguments)


@pytest.mark.parametrize("value", ["1", 1, 1.0, np.array([1]), [1], np.float32(1)])
@pytest.mark.parametrize("name", ["charge", "total_charge"])
def test_calculator(here: Path, name: str, value: Any) -> None:
    calculator = PotentialCalculator(MODEL)
    atoms = water()
    atoms.calc = calculator
    neutral = atoms.get_potential_energy()
    atoms.info[name] = value
    assert atoms.get_charges().sum() == pytest.approx(1, abs=1e-5)
    assert abs(atoms.get_potential_energy() - neutral) > 1e-4
    atoms.info[name] = None
    assert atoms.get_potential_energy() == pytest.approx(neutral, abs=1e-6)


def test_a_charge_of_the_calculator(here: Path) -> None:
    atoms = said(charge=0)
    atoms.calc = PotentialCalculator(MODEL, charge=1)
    assert atoms.get_charges().sum() == pytest.approx(1, abs=1e-5)
    with pytest.raises(DataError, match="charge: inf is no total charge"):
        PotentialCalculator(MODEL, charge=float("inf"))
    with pytest.raises(DataError, match="charge: nan is no total charge"):
        PotentialCalculator(MODEL, charge=float("nan"))


def test_nan_says_none_in_all_formats(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [said(charge=1), said(charge=np.nan), said(charge=-1)]
    one = {"coordinates": frames[0].positions, "atomic_numbers": frames[0].numbers}
    (tmp_path / "in.pkl").write_bytes(pickle.dumps([{**one, **frame.info} for frame in frames]))
    arrays = {name: np.stack([value] * 3) for name, value in one.items()}
    np.savez(tmp_path / "in.npz", **arrays, charge=[1, np.nan, -1])
    for name in ("in.xyz", "in.traj"):
        ase.io.write(tmp_path / name, frames)
    for name in ("in.xyz", "in.traj", "in.pkl", "in.npz"):
        assert cli.main(["predict", MODEL, str(tmp_path / name), "-o", str(tmp_path / f"{name}.npz")]) == 0
        with np.load(tmp_path / f"{name}.npz") as found:
            assert found["Q"].tolist() == [1, 0, -1], name
        assert "1 of 3 structures say no total charge; it is taken to be 0" in " ".join(capsys.readouterr().err.split())
    atoms = frames[1]
    atoms.calc = PotentialCalculator(MODEL)
    assert atoms.get_charges().sum() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_simulate(here: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    ase.io.write(tmp_path / "in.xyz", said(**{name: 1}), format="extxyz")
    document = {"model": str(here / MODEL), "structure": str(tmp_path / "in.xyz"), "single_point": None}
    for given, expected in (({}, 1), ({"charge": 0}, 0)):
        (tmp_path / "sim.yaml").write_text(yaml.safe_dump(document | given))
        capsys.readouterr()
        out = tmp_path / f"out{expected}"
        assert cli.main(["simulate", str(tmp_path / "sim.yaml"), "-o", str(out)]) == 0
        result = ase.io.read(out / "trajectory.xyz")
        assert result.info["charge"] == expected
        assert result.get_charges().sum() == pytest.approx(expected, abs=1e-5)
        message = " ".join(capsys.readouterr().err.split())
        assert ("in.xyz: the total charge 0 was given; the file says 1." in message) == bool(given)


@pytest.mark.parametrize("name", NAMES)
def test_evaluate(here: Path, tmp_path: Path, name: str) -> None:
    """Errors of what predict wrote are 0, whatever the total charge is called there."""
    ase.io.write(tmp_path / "in.xyz", [said(charge=1), said(charge=0)], format="extxyz")
    assert cli.main(["predict", MODEL, str(tmp_path / "in.xyz"), "-o", str(tmp_path / "out.npz")]) == 0
    with np.load(tmp_path / "out.npz") as arrays:
        renamed = {name if key == "Q" else key: values for key, values in arrays.items()}
    np.savez(tmp_path / "renamed.npz", **renamed)
    errors = {
        (row.field, row.of): row for row in evaluate_file(load_potential(MODEL), tmp_path / "renamed.npz", {}, {})
    }
    assert errors["E", "all"].mae < 1e-5
    assert errors["Qa", "all"].mae < 1e-5


def test_evaluate_tells_a_second_name(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    atoms = said(total_charge=1, charge=0)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    ase.io.write(tmp_path / "two.xyz", atoms)
    assert cli.main(["evaluate", MODEL, str(tmp_path / "two.xyz"), "--json", str(tmp_path / "e.json")]) == 0
    assert "total charges are those of 'total_charge'; not read: charge." in " ".join(capsys.readouterr().err.split())
    assert "E" in json.loads((tmp_path / "e.json").read_text())


@pytest.mark.parametrize("given", ["nan", "inf"])
@pytest.mark.parametrize("command", ["predict", "serve"])
def test_a_charge_of_commands_is_a_number(
    command: str, given: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ase.io.write("one.xyz", said(), format="extxyz")
    out = ["-o", "predicted.npz"] if command == "predict" else []
    assert cli.main([command, MODEL, "one.xyz", *out, "--charge", given]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message == f"DataError: charge: {given} is no total charge. Give a number."
    assert not Path("predicted.npz").exists()


def test_evaluate_takes_a_missing_charge_to_be_0(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    structures = [said(energy=-76.0, **({"total_charge": 1} if number else {})) for number in range(3)]
    ase.io.write(tmp_path / "some.xyz", structures, format="extxyz")
    assert cli.main(["evaluate", MODEL, str(tmp_path / "some.xyz"), "--json", str(tmp_path / "e.json")]) == 0
    assert "'total_charge' (Q) is missing in 1 frames: it is taken to be 0" in " ".join(capsys.readouterr().err.split())
