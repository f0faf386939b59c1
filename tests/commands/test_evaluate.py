"""pyg-nnp evaluate."""

import csv
import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from command_line import MODEL, refused, toy_arrays, water
from toy import toy_config

import pyg_nnp
from pyg_nnp.commands import cli
from pyg_nnp.config import config_from_dict
from pyg_nnp.potential.checkpoint import load_potential, save_potential


def test_evaluate_gives_the_metrics_of_training(
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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


def test_evaluate_all_frames_by_element(
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    capsys.readouterr()
    energies = np.zeros(24)
    with np.load(data) as content:
        np.savez(data, energy=energies, **content)
    assert cli.main(["evaluate", MODEL, data, *names]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(r"has no 'forces' \(Fa\).*: not compared\. Perhaps --map Fa=F\?", said), said


def test_evaluate_without_charges(trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    atoms = water()
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    ase.io.write(tmp_path / "water.xyz", atoms)
    potential = load_potential(MODEL)
    for charges in ((-1.0, 0.0), (0.0,)):
        potential.domain = replace(potential.domain, charges=charges)
        save_potential(potential, tmp_path / "best.safetensors", {})
        assert (cli.main(["evaluate", str(tmp_path), str(tmp_path / "water.xyz")]) == 0) == (charges == (0.0,))
    assert "there is no 'total_charge' (Q)" in capsys.readouterr().err


def test_evaluate_what_predict_wrote(trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", MODEL, "dataset.pkl", "-o", str(tmp_path / "predicted.npz")]) == 0
    assert cli.main(["evaluate", MODEL, str(tmp_path / "predicted.npz"), "--json", str(tmp_path / "e.json")]) == 0
    errors = json.loads((tmp_path / "e.json").read_text())
    assert {"E", "Fa", "Qa", "M2"} <= errors.keys()
    assert all(errors[name]["all"]["max"] < 1e-5 for name in ("E", "Fa", "Qa", "M2"))


def test_evaluate_a_part_without_a_file(
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "on which data?" in refused(capsys, "evaluate", MODEL)
    for number, data in enumerate(([], ["dataset.pkl"])):
        assert cli.main(["evaluate", MODEL, *data, "--part", "test", "--csv", str(tmp_path / f"{number}.csv")]) == 0
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()


def test_evaluate_notices_energies_with_another_reference(
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    trained_folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert expected in refused(capsys, "evaluate", MODEL, *arguments)


def test_a_part_is_that_of_the_training_alone(
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_a_label_that_is_not_to_be_compared(trained_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", MODEL, "dataset.pkl", "--map", "Fa=", "--json", "without_forces.json"]) == 0
    assert "Fa" not in json.loads(Path("without_forces.json").read_text())
