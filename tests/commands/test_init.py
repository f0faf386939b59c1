"""pyg-nnp init."""

from pathlib import Path
from typing import Any

import ase.db
import ase.io
import h5py
import numpy as np
import pytest
import yaml
from ase.build import molecule as ase_molecule
from command_line import MODEL, refused, toy_arrays

import pyg_nnp
from pyg_nnp.commands import cli
from pyg_nnp.commands.info import describe
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV


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
def test_init_writes_what_trains(
    trained_folder: Path, tmp_path: Path, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_mistakes_in_init(trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "odd.npz", a=np.zeros((5, 3, 3)), b=np.zeros((5, 3, 3)), c=np.zeros(5))
    odd, out = str(tmp_path / "odd.npz"), str(tmp_path / "init.yaml")
    assert "none of these look like positions" in refused(capsys, "init", odd, "-o", out)
    assert "no standard name. Did you mean 'Ra'?" in refused(capsys, "init", odd, "-o", out, "--map", "ra=a")
    assert "Did you mean Ra=a?" in refused(capsys, "init", odd, "-o", out, "--map", "a=Ra")
    twice = ("--map", "Ra=a", "--map", "Fa=a")
    assert "--map Fa=a: a is mapped to another name, too" in refused(capsys, "init", odd, "-o", out, *twice)
    assert "none of these look like atomic numbers" in refused(capsys, "init", odd, "-o", out, "--map", "Ra=a")
    assert not Path(out).exists()


def test_the_user_says_that_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    arrays = {"pos": random.normal(size=(40, 3, 3)), "Z": [8, 1, 1], "energy": -76 + random.random((40, 1))}
    np.savez(tmp_path / "mine.npz", **arrays, centre=np.ones((40, 3)))
    for name, options, targets in (("taken", (), {"E", "M2"}), ("none", ("--map", "M2="), {"E"})):
        out = tmp_path / f"{name}.yaml"
        assert cli.main(["init", str(tmp_path / "mine.npz"), "-o", str(out), *options]) == 0
        assert yaml.safe_load(out.read_text())["Datahub"]["targets"].keys() == targets
        told = capsys.readouterr().out
        assert ("centre" in told.partition("not used: ")[2]) == (name == "none")


def test_energies_of_two_charges_differ_after_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the file that init writes, unchanged but for its length; each geometry has both charges."""
    monkeypatch.chdir(tmp_path)
    atoms = ase_molecule("H2O")
    frames = []
    for seed in range(30):
        for charge in (0, 1):
            moved = atoms.copy()
            moved.rattle(0.05, seed=seed)
            moved.info |= {"REF_energy": -2079.0 + moved.positions.std() + 8.0 * charge, "total_charge": charge}
            frames.append(moved)
    ase.io.write("mine.xyz", frames, format="extxyz")
    assert cli.main(["init", "mine.xyz"]) == 0
    text = Path("train.yaml").read_text().replace("max_epochs: 100", "report: false\n  max_epochs: 2")
    Path("train.yaml").write_text(text)
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    assert "makes no difference to what FF01 predicts" not in capsys.readouterr().err
    atoms.calc = PotentialCalculator("out/FF01-SchNet")
    energies = []
    for charge in (0, 1):
        atoms.info["charge"] = charge
        energies.append(atoms.get_potential_energy())
    assert energies[1] - energies[0] == pytest.approx(8.0, abs=0.8)
    assert "which make no difference" not in describe(Path("out/FF01-SchNet"))
