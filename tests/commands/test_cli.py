"""The commands that use a trained model: evaluate, predict, info, init."""

import csv
import json
import pickle
import re
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import h5py
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from toy import toy_config, write_config, write_toy

import pyg_nnp
from pyg_nnp.commands import cli
from pyg_nnp.commands.info import describe
from pyg_nnp.commands.init import first_config
from pyg_nnp.config import config_from_dict
from pyg_nnp.data.formats.readers import read_blocks
from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.evaluate import configuration_for
from pyg_nnp.potential.checkpoint import load_potential, save_potential
from pyg_nnp.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/alanine_dipeptide"
MODEL = "out/FF01-SchNet"
FEATURES = {"Ra": "coordinates", "Za": "atomic_numbers", "Q": "total_charge", "N": "number_of_atoms"}
TARGETS = {"E": "energy", "Fa": "forces", "Qa": "atomic_charges", "M2": "dipole"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_toy(folder, names=("H2O", "CH4", "C2H6"))
        write_config(folder, yaml.safe_dump(toy_config(Metrics={"rmse": {"E": 1, "Fa": 1, "M2": 1}, "mae": {"Qa": 1}})))
        assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    return folder


@pytest.fixture
def folder(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def toy_arrays() -> dict[str, np.ndarray[Any, Any]]:
    (block,) = read_blocks(Path("dataset.pkl"), "pickle", FEATURES | TARGETS)
    return block.arrays


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == cli.USER_ERROR
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message


def test_evaluate_gives_the_metrics_of_training(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_training = json.loads(Path(MODEL, "metrics.json").read_text())
    for part in ("validation", "test"):
        file = tmp_path / f"{part}.json"
        assert cli.main(["evaluate", MODEL, "dataset.pkl", "--part", part, "--json", str(file)]) == 0
        found = json.loads(file.read_text())
        for kind in ("rmse", "mae"):
            for name, value in of_training[part][kind].items():
                assert found[name]["all"][kind] == value  # the same bits
    shown = capsys.readouterr()
    assert re.search(r"Fa +H +\d+", shown.out)
    assert not shown.err


def test_evaluate_all_frames_by_element(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", MODEL, "dataset.pkl", "--csv", str(tmp_path / "errors.csv")]) == 0
    shown = capsys.readouterr()
    assert "these are the data of the training" in shown.err
    assert re.search(r"Fa +all .* Hartree/Å", shown.out)
    assert cli.main(["info", MODEL]) == 0
    assert "energies in Hartree, which is 27.211386 eV" in capsys.readouterr().out
    with (tmp_path / "errors.csv").open() as file:
        rows = {(row["field"], row["of"]): row for row in csv.DictReader(file)}
    true = toy_arrays()
    potential = pyg_nnp.load_potential(MODEL)
    config = config_from_dict(toy_config())
    batch = pyg_nnp.data.MoleculeDataset.from_config(config, "out").batch(torch.arange(24))
    predicted = potential(batch)
    error = predicted["Fa"].double().numpy() + true["Fa"]  # the file has gradients
    for Z, symbol in ((1, "H"), (6, "C"), (8, "O")):
        of_element = np.abs(error[true["Za"] == Z])
        row = rows["Fa", symbol]
        assert int(row["count"]) == of_element.size
        assert float(row["mae"]) == pytest.approx(of_element.mean(), rel=1e-5)
        assert float(row["rmse"]) == pytest.approx(np.sqrt((of_element**2).mean()), rel=1e-5)
        assert float(row["max"]) == pytest.approx(of_element.max(), rel=1e-5)
    per_atom = np.abs(predicted["E"].numpy() - true["E"]) / true["N"]
    assert float(rows["E", "per atom"]["mae"]) == pytest.approx(per_atom.mean(), rel=1e-6)
    assert ("M2", "all") in rows
    assert ("Qa", "O") in rows


def test_evaluate_other_names_and_fewer_labels(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = toy_arrays()
    np.savez(
        tmp_path / "other.npz", N=arrays["N"], R=arrays["Ra"], z=arrays["Za"], total_charge=arrays["Q"], F=-arrays["Fa"]
    )
    data = str(tmp_path / "other.npz")
    names = ["--map", "N=N"]  # R, z and total_charge are known by their names
    said = refused(capsys, "evaluate", MODEL, data, *names)
    assert "there is nothing to compare with. Expected 'energy' (E)" in said
    assert "Give other names, perhaps --map Fa=F." in said
    arguments = ["evaluate", MODEL, data, *names, "--map", "Fa=F", "--no-negative-gradient"]
    assert cli.main([*arguments, "--json", str(tmp_path / "other.json")]) == 0
    assert cli.main(["evaluate", MODEL, "dataset.pkl", "--json", str(tmp_path / "same.json")]) == 0
    other, same = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("other", "same"))
    assert other["Fa"] == same["Fa"]
    assert "E" not in other


def test_evaluate_without_charges(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    atoms = water()
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    ase.io.write(tmp_path / "water.xyz", atoms)
    potential = load_potential(MODEL)
    for charges in ((-1.0, 0.0), (0.0,)):
        potential.domain = replace(potential.domain, charges=charges)
        save_potential(potential, tmp_path / "best.safetensors", {})
        assert (cli.main(["evaluate", str(tmp_path), str(tmp_path / "water.xyz")]) == 0) == (charges == (0.0,))
    assert "there is no 'total_charge' (Q)" in capsys.readouterr().err


def test_evaluate_what_predict_wrote(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", MODEL, "dataset.pkl", "-o", str(tmp_path / "predicted.npz")]) == 0
    assert cli.main(["evaluate", MODEL, str(tmp_path / "predicted.npz"), "--json", str(tmp_path / "e.json")]) == 0
    errors = json.loads((tmp_path / "e.json").read_text())
    assert {"E", "Fa", "Qa", "M2"} <= errors.keys()
    assert all(errors[name]["all"]["max"] < 1e-5 for name in ("E", "Fa", "Qa", "M2"))


def test_evaluate_a_part_without_a_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "on which data?" in refused(capsys, "evaluate", MODEL)
    for number, data in enumerate(([], ["dataset.pkl"])):
        assert cli.main(["evaluate", MODEL, *data, "--part", "test", "--csv", str(tmp_path / f"{number}.csv")]) == 0
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()


def test_evaluate_notices_energies_with_another_reference(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = toy_arrays()
    random = np.random.default_rng(0)
    with torch.no_grad():
        assert cli.main(["predict", MODEL, "dataset.pkl", "-o", str(tmp_path / "predicted.npz")]) == 0
    E = np.load(tmp_path / "predicted.npz")["E"] + 0.01 * random.normal(size=len(arrays["N"]))
    names = [f"--map={name}={name}" for name in ("N", "Ra", "Za", "Q", "E")]
    for shift in (0.0, 0.03, 100.0):
        data = tmp_path / f"shifted_{shift}.npz"
        np.savez(data, **{name: arrays[name] for name in ("N", "Ra", "Za", "Q")}, E=E + shift)
        assert cli.main(["evaluate", MODEL, str(data), *names]) == 0
        assert ("all energies are off by about" in capsys.readouterr().err) == (shift == 100)


def test_evaluate_notices_forces_of_the_other_sign(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(tmp_path / "same.npz")
    assert cli.main(["predict", MODEL, "dataset.pkl", "-o", data]) == 0
    names = [f"--map={name}={name}" for name in ("N", "Ra", "Za", "Q", "Fa")]
    assert cli.main(["evaluate", MODEL, data, *names]) == 0  # as in training, where the file had gradients
    assert "the forces fit far better with the other sign" in capsys.readouterr().err
    assert cli.main(["evaluate", MODEL, data, *names, "--no-negative-gradient"]) == 0
    assert "other sign" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["dataset.pkl", "--part", "tests"],
            "--part tests: training had no such part, only: training, validation, test",
        ),
        (["dataset.pkl", "--map", "Energy=e"], "--map Energy=e: Energy is no standard name"),
        (["dataset.pkl", "--map", "E"], "--map E: expects NAME=SOURCE"),
        (["datset.pkl"], "Did you mean 'dataset.pkl'?"),
        (["dataset.pkl", "--json", "train.yaml"], "train.yaml: is there already"),
    ],
)
def test_mistakes_in_evaluate(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert expected in refused(capsys, "evaluate", MODEL, *arguments)


def water(charge: int | None = None) -> Atoms:
    atoms = Atoms("OH2", [[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
    if charge is not None:
        atoms.info["charge"] = charge
    return atoms


def test_predict_for_ase(folder: Path, tmp_path: Path) -> None:
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
def test_predict_to_arrays(folder: Path, tmp_path: Path, ending: str) -> None:
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
            assert file.attrs["unit_of_energy_in_eV"] == HARTREE_IN_EV
            assert file.attrs["unit_of_length_in_angstrom"] == 1.0


def test_predict_in_pieces(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["predict", MODEL, "dataset.pkl", "-o", str(tmp_path / "whole.npz")]) == 0
    monkeypatch.setattr("pyg_nnp.inference.predict.ATOMS_TO_EVALUATE", 7)  # C2H6 has 8
    assert cli.main(["predict", MODEL, "dataset.pkl", "-o", str(tmp_path / "pieces.npz")]) == 0
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "pieces.npz") as pieces:
        assert sorted(whole) == sorted(pieces)
        for name in whole:
            assert pieces[name] == pytest.approx(whole[name], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("ending", ["npz", "h5", "extxyz"])
def test_predict_to_a_full_disk(folder: Path, tmp_path: Path, ending: str) -> None:
    """In a process of its own, which HDF5 would end without a word."""
    out = tmp_path / f"out.{ending}"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, pyg_nnp.commands.cli; sys.exit(pyg_nnp.commands.cli.main())",
            "predict",
            MODEL,
            "dataset.pkl",
            "-o",
            str(out),
        ],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)),
        check=False,
    )
    assert done.returncode == cli.USER_ERROR, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


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
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    close = water()
    close.positions *= BOHR_IN_ANGSTROM
    for name, atoms in (("fair.xyz", water()), ("close.xyz", close)):
        ase.io.write(tmp_path / name, atoms)
        assert cli.main(["predict", MODEL, str(tmp_path / name), "-o", str(tmp_path / f"of_{name}")]) == 0
        said = capsys.readouterr().err
        assert ("WARNING: Atoms come closer than in the training data" in said) == (name == "close.xyz")


def test_predict_says_which_charges_it_never_saw(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_compositions_never_seen(
    folder: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alien = [water(), Atoms("OH", [[0, 0, 0], [0, 0, 0.97]]), Atoms("H", [[0, 0, 0]])]
    for name, structures in (("alien.xyz", alien), ("known.xyz", [water()])):
        for atoms in structures:
            atoms.info["charge"], atoms.calc = 0, SinglePointCalculator(atoms, energy=-1.0)
        ase.io.write(tmp_path / name, structures)
        options = {
            "predict": ["-o", str(tmp_path / f"{name}.npz")],
            "evaluate": [],
        }[command]
        assert cli.main([command, MODEL, str(tmp_path / name), *options]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert ("trained on C2H6, CH4, H2O, not on H, HO: predictions may mean nothing" in said) == (
            name == "alien.xyz"
        )


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_all_is_farther_apart_than_in_training(
    folder: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for factor in (1.0, 1.8897):
        stretched = water()
        stretched.positions *= factor
        stretched.info["charge"], stretched.calc = 0, SinglePointCalculator(stretched, energy=-1.0)
        ase.io.write(tmp_path / f"{factor}.xyz", stretched)
        out = ["-o", str(tmp_path / f"out{factor}.xyz")] if command == "predict" else []
        assert cli.main([command, MODEL, str(tmp_path / f"{factor}.xyz"), *out]) == 0
        said = "No atoms are as near as in the training data, by a factor of 1." in capsys.readouterr().err
        assert said == (factor > 1)


def test_a_part_is_that_of_the_training_alone(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = pickle.loads(Path("dataset.pkl").read_bytes())
    other = tmp_path / "dataset.pkl"
    other.write_bytes(pickle.dumps(frames[::-1]))
    said = refused(capsys, "evaluate", MODEL, str(other), "--part", "test")
    assert "these are not the structures of the training, or they are in another order" in said
    assert cli.main(["evaluate", MODEL, str(other)]) == 0
    assert "the data of the training" not in capsys.readouterr().err
    copied = tmp_path / "copy.pkl"
    copied.write_bytes(Path("dataset.pkl").read_bytes())
    assert cli.main(["evaluate", MODEL, str(copied), "--part", "test"]) == 0


def test_evaluate_takes_the_charge_of_predictions(folder: Path, tmp_path: Path) -> None:
    potential = load_potential(MODEL)
    del potential.spec["config"]["Datahub"]["features"]["Q"]
    atoms = water(1)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    ase.io.write(tmp_path / "one.xyz", atoms)
    names = {"Ra": "positions", "Za": "numbers"}
    for given, expected in (({}, "charge"), ({"Q": "natoms"}, "natoms")):
        config = configuration_for(potential, tmp_path / "one.xyz", names | given, {})
        assert config.Datahub.features["Q"] == expected


def test_mistakes_in_predict(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_info(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store,) = Path("out").glob("processed_dataset_*")
    for what, expected in {
        MODEL: [
            "SchNet with",
            "trained on H, C, O",
            "compositions: C2H6, CH4, H2O",
            "27.211386 eV",
            "cutoff_sr 4.0",
            "trained on dataset.pkl",
        ],
        f"{MODEL}/last.safetensors": ["last.safetensors: SchNet"],
        "dataset.pkl": ["pickle", "coordinates: (3, 3) float64  probably Ra, positions"],
        str(store): ["24 frames, undamaged", "E: (24,), total energy, in the file: energy"],
    }.items():
        assert cli.main(["info", what]) == 0
        text = capsys.readouterr().out
        assert all(part in text for part in expected), text
    assert "In it are: FF01-SchNet, processed_dataset_" in refused(capsys, "info", "out")
    assert "this is no data file of a known format" in refused(capsys, "info", "train.yaml")


def as_pickle(arrays: dict[str, Any]) -> str:
    return "dataset.pkl"


def as_npz(arrays: dict[str, Any]) -> str:
    np.savez(
        "mine.npz",
        n_atoms=arrays["N"],
        xyz=arrays["Ra"],
        species=arrays["Za"],
        dft_energy=arrays["E"],
        grad=arrays["Fa"],
    )
    return "mine.npz"


def as_hdf5(arrays: dict[str, Any]) -> str:
    with h5py.File("mine.h5", "w") as file:
        ends = np.cumsum(arrays["N"])
        for frame, (first, last) in enumerate(zip(ends - arrays["N"], ends, strict=True)):
            group = file.create_group(f"frame{frame}")
            for name, source in (("Ra", "coord"), ("Za", "numbers"), ("Fa", "Forces")):
                group[source] = arrays[name][first:last]
            group["E"] = arrays["E"][frame]
    return "mine.h5"


def as_xyz(arrays: dict[str, Any]) -> str:
    cli.main(["predict", MODEL, "dataset.pkl", "-o", "mine.xyz"])
    return "mine.xyz"


@pytest.mark.parametrize("write", [as_pickle, as_npz, as_hdf5, as_xyz])
def test_init_writes_what_trains(folder: Path, tmp_path: Path, write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """From a data file with names of its own to a configuration that reads it, whose units were recognised."""
    data = write(toy_arrays())
    file = tmp_path / "init.yaml"
    capsys.readouterr()
    assert cli.main(["init", data, "-o", str(file)]) == 0
    told = capsys.readouterr().out
    assert f"{data} seems to have:" in told
    assert ("Fa are taken for gradients" in told) == (data == "mine.npz")
    assert f"energies are in {'eV' if data == 'mine.xyz' else 'Hartree'}" in told
    if data == "mine.npz":
        assert "E: dft_energy (total energy" in told
    assert "already" in refused(capsys, "init", data, "-o", str(file))
    config = pyg_nnp.load_config(file)
    hub = config.Datahub
    assert set(hub.targets) >= {"E", "Fa"}
    assert hub.transforms.negative_gradient == (data == "mine.npz")
    model = config.Modelhub.internal_FFs["FF01"]
    assert model.build_params["Bohr_in_R"] == pytest.approx(BOHR_IN_ANGSTROM)
    # energies of the toy are nearly those of all electrons
    assert model.build_params["Hartree_in_E"] == pytest.approx(HARTREE_IN_EV if data == "mine.xyz" else 1.0)
    document = yaml.safe_load(file.read_text().replace("5e-3", "0.005"))
    document["Trainer"] |= {"max_epochs": 1, "batch_size": 5}
    model_document = document["Modelhub"]["FF01"]
    model_document["build_params"] |= {"dim_embedding": 8, "num_rbf": 8}
    model_document["layers"][3]["params"] = {"num_interactions": 1, "hidden_channels": 8}
    short = tmp_path / "short.yaml"
    short.write_text(yaml.safe_dump(document))
    assert cli.main(["train", str(short), "-o", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    ("positions", "energies", "bohr", "hartree"),
    [
        ("xyz", "energy", BOHR_IN_ANGSTROM, 1.0),
        ("xyz_bohr", "energy_eV", 1.0, HARTREE_IN_EV),
        ("coords (nm)", "E [kcal/mol]", BOHR_IN_ANGSTROM / 10, HARTREE_IN_KCAL_PER_MOL),
    ],
)
def test_init_takes_units_from_names(
    positions: str, energies: str, bohr: float, hartree: float, tmp_path: Path
) -> None:
    arrays = {positions: np.random.default_rng(0).normal(size=(4, 3, 3)), "elements": [29] * 3, energies: np.ones(4)}
    np.savez(tmp_path / "copper.npz", **arrays)
    text, _ = first_config(tmp_path / "copper.npz", {"Ra": positions, "E": energies})
    assert f"Bohr_in_R: {bohr:.9g} " in text
    assert f"Hartree_in_E: {hartree:.9g} " in text
    assert ("not to be told" in text) == (positions == "xyz")


def test_init_knows_a_slope_by_its_name(folder: Path, tmp_path: Path) -> None:
    arrays = toy_arrays()
    first = int(arrays["N"][0])
    file = tmp_path / "slopes.npz"
    np.savez(
        file,
        geometry=np.stack([arrays["Ra"][:first]] * 4),
        species=arrays["Za"][:first],
        E_el=np.arange(4.0),
        dEdx=np.ones((4, first, 3)),
        partial_q=np.ones((4, first)) * 0.1,
    )
    text, guesses = first_config(file, {})
    for name, source in (("Ra", "geometry"), ("Za", "species"), ("E", "E_el"), ("Fa", "dEdx"), ("Qa", "partial_q")):
        assert f"    {name}: {source}  # " in text
    assert "negative_gradient: true  # dEdx are gradients, not forces. CHECK: by the name" in text
    assert "dEdx: (4, 3, 3) float64  probably Fa, gradients, minus the forces" in describe(file)
    assert "Fa are taken for gradients, minus the forces" in guesses


@pytest.mark.parametrize("hartree", [1.0, 27.2114, 627.509])
def test_init_knows_the_unit_of_valence_energies_by_the_stiffness_of_bonds(tmp_path: Path, hartree: float) -> None:
    """GFN2-xTB gives a tenth of an all-electron energy, which could be that of other elements in another unit."""
    with (EXAMPLE / "dataset.pkl").open("rb") as file:
        frames = pickle.load(file)[:100]
    arrays = {name: np.array([frame[name] for frame in frames]) for name in ("coordinates", "atomic_numbers")}
    arrays |= {name: hartree * np.array([frame[name] for frame in frames]) for name in ("energy", "forces")}
    np.savez(tmp_path / "valence.npz", **arrays)
    text, guesses = first_config(tmp_path / "valence.npz", {})
    found = yaml.safe_load(text)["Modelhub"]["FF01"]["build_params"]["Hartree_in_E"]
    assert found == pytest.approx(hartree, rel=1e-5)
    assert ": guessed from the stiffness of bonds of hydrogen" in guesses[-1]


def test_an_array_that_is_mapped_is_not_guessed_to_be_another(tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", coordinates=np.zeros((5, 2, 3)), Z=np.ones((5, 2), dtype=int), E=np.zeros(5))
    with pytest.raises(DataError, match="none of these look like positions"):
        first_config(tmp_path / "odd.npz", {"Fa": "coordinates"})


def test_init_knows_elements_by_their_shape(tmp_path: Path) -> None:
    file = tmp_path / "odd_names.npz"
    labels = {
        "quality": np.ones(40, dtype=np.int64),
        "k": np.tile([8, 1, 1], (40, 1)),
        "e_tot": np.linspace(-76, -75, 40),
    }
    np.savez(file, pos=np.random.default_rng(0).normal(size=(40, 3, 3)), **labels)
    text, _ = first_config(file, {})
    assert "    Za: k  # " in text
    assert "negative_gradient" not in text


def test_init_knows_short_names_and_asks_for_forces(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {"cart_xyz": random.normal(size=(4, 3, 3)), "nuclear_charges": [8, 1, 1], "etot": -76 + random.random(4)}
    labels = {"frc": random.normal(size=(4, 3, 3)), "mu": random.normal(size=(4, 3))}
    np.savez(tmp_path / "short.npz", **arrays, **labels)
    text, guesses = first_config(tmp_path / "short.npz", {})
    for line in ("Ra: cart_xyz", "E: etot", "Fa: frc", "M2: mu"):
        assert f"    {line}  # " in text
    assert not any("no forces" in guess for guess in guesses)
    np.savez(tmp_path / "odd.npz", **arrays, push=labels["frc"])
    _, guesses = first_config(tmp_path / "odd.npz", {})
    assert guesses[guesses.index("not used: push") + 1].startswith("no forces were recognised")


def test_mistakes_in_init(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "odd.npz", a=np.zeros((5, 3, 3)), b=np.zeros((5, 3, 3)), c=np.zeros(5))
    odd, out = str(tmp_path / "odd.npz"), str(tmp_path / "init.yaml")
    assert "none of these look like positions" in refused(capsys, "init", odd, "-o", out)
    assert "no standard name. Did you mean 'Ra'?" in refused(capsys, "init", odd, "-o", out, "--map", "ra=a")
    assert "Did you mean Ra=a?" in refused(capsys, "init", odd, "-o", out, "--map", "a=Ra")
    twice = ("--map", "Ra=a", "--map", "Fa=a")
    assert "--map Fa=a: a is mapped to another name, too" in refused(capsys, "init", odd, "-o", out, *twice)
    assert "none of these look like atomic numbers" in refused(capsys, "init", odd, "-o", out, "--map", "Ra=a")
    assert not Path(out).exists()
