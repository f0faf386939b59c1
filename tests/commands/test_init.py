"""pyg-nnp init."""

import re
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
from pyg_nnp.config.recipes import RECIPES
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
    # the toy data have gradients, and what is predicted are forces
    has_gradients = data != "mine.xyz"
    assert ("Fa are taken for gradients, minus the forces, by the energies of near frames" in told) == has_gradients
    assert f"energies are in {'eV' if data == 'mine.xyz' else 'Hartree'}" in told
    if data == "mine.npz":
        assert "E: dft_energy (total energy" in told
    assert "already" in refused(capsys, "init", data, "-o", str(file))
    config = pyg_nnp.load_config(file)
    hub = config.Datahub
    assert set(hub.targets) >= {"E", "Fa"}
    assert hub.transforms.negative_gradient == has_gradients
    model = config.Modelhub.internal_FFs["FF01"]
    assert model.build_params["Bohr_in_R"] == pytest.approx(BOHR_IN_ANGSTROM)
    # energies of the toy are nearly those of all electrons
    assert model.build_params["Hartree_in_E"] == pytest.approx(HARTREE_IN_EV if data == "mine.xyz" else 1.0)
    assert model.architecture == "Cartesian"
    assert cli.main(["train", shortened(file), "-o", str(tmp_path / "out")]) == 0


def shortened(file: Path) -> str:
    """Write the same configuration with a smaller model, for an epoch, beside it, and return its name."""
    text = file.read_text()
    for key in ("num_rbf", "hidden_channels", "dim_embedding"):
        text = re.sub(rf"{key}: \d+", f"{key}: 8", text)
    short = file.with_name("short.yaml")
    short.write_text(re.sub(r"max_time: .*|max_epochs: .*", "max_epochs: 1", text))
    return str(short)


@pytest.mark.parametrize("minutes", [None, 0.01])
@pytest.mark.parametrize("architecture", RECIPES)
def test_each_recipe_trains(
    architecture: str,
    minutes: float | None,
    trained_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "init.yaml"
    length = [] if minutes is None else ["--minutes", f"{minutes}"]
    assert cli.main(["init", "dataset.pkl", "-o", str(file), "--architecture", architecture, *length]) == 0
    told = capsys.readouterr().out
    trainer = pyg_nnp.load_config(file).Trainer
    assert trainer.max_time == (minutes or RECIPES[architecture].minutes)
    by_clock = "for 100 epochs" if trainer.max_time is None else f"for {trainer.max_time:g} minutes by the clock"
    assert f"{file}: {architecture}, to be trained {by_clock}" in told
    text = Path(shortened(file)).read_text() if minutes is None else file.read_text()
    file.write_text(text.replace("Trainer:", "Trainer:\n  report: false"))
    assert cli.main(["train", str(file), "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / f"out/FF01-{architecture}/best.safetensors").exists()


@pytest.mark.parametrize(("minutes", "shown"), [("1", "1 minute by"), ("1.5", "1.5 minutes by")])
def test_minutes_are_counted(minutes: str, shown: str, trained_folder: Path, tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["init", "dataset.pkl", "-o", str(tmp_path / "init.yaml"), "--minutes", minutes]) == 0
    assert f", to be trained for {shown} the clock" in capsys.readouterr().out


def test_mistakes_in_length_and_architecture(
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("init", "dataset.pkl", "-o", str(tmp_path / "init.yaml"))
    message = refused(capsys, *command, "--architecture", "SchNett")
    assert message == (
        "ConfigError: --architecture SchNett: init has no recipe for it. Did you mean 'SchNet'? "
        f"There are: {', '.join(RECIPES)}.\n"
    )
    for minutes in ("0", "-1", "nan", "inf"):
        message = refused(capsys, *command, "--minutes", minutes)
        assert f"--minutes {minutes}: expects a number of minutes greater than 0" in message
    assert not (tmp_path / "init.yaml").exists()


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
    text = re.sub(r"max_time: .*", "report: false\n  max_epochs: 2", Path("train.yaml").read_text())
    Path("train.yaml").write_text(text)
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    assert "makes no difference to what FF01 predicts" not in capsys.readouterr().err
    atoms.calc = PotentialCalculator("out/FF01-Cartesian")
    energies = []
    for charge in (0, 1):
        atoms.info["charge"] = charge
        energies.append(atoms.get_potential_energy())
    assert energies[1] - energies[0] == pytest.approx(8.0, abs=0.8)
    assert "which make no difference" not in describe(Path("out/FF01-Cartesian"))
