"""The configurations that ship, run as they stand but for the number of epochs."""

import pickle
import re
import runpy
from pathlib import Path

import ase.io
import numpy as np
import pytest
import yaml
from toy import toy_config, write_config, write_toy

from pyg_nnp import load_config
from pyg_nnp.commands import cli
from pyg_nnp.units import HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SHARED = ROOT / "../shared"


def shorten(path: Path, **changes: str) -> None:
    text = path.read_text()
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^(\s*{key}:) [^#\n]*", rf"\1 {value} ", text)
        assert count == 1, key
    path.write_text(text)


def some_frames(source: Path, target: Path, number: int) -> None:
    """Write every so many-th frame of an example into another file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as file:
        frames = pickle.load(file)
    with target.open("wb") as file:
        pickle.dump(frames[:: len(frames) // number], file)


@pytest.mark.parametrize("name", ["alanine_dipeptide", "charged_molecules"])
def test_examples_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    some_frames(EXAMPLES / name / "dataset.pkl", tmp_path / "dataset.pkl", 100)
    for file in ("atomic_energy.csv", "train.yaml"):
        (tmp_path / file).write_bytes((EXAMPLES / name / file).read_bytes())
    shorten(tmp_path / "train.yaml", max_epochs="1")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "train.yaml"]) == 0
    assert len(list(tmp_path.glob("*-SchNet/metrics.json"))) == 1


def test_cores_of_the_example_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = EXAMPLES / "alanine_dipeptide"
    some_frames(folder / "dataset.pkl", tmp_path / "dataset.pkl", 100)
    for file in ("atomic_energy.csv", "train.yaml", "cartesian.yaml"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    shorten(tmp_path / "train.yaml", max_epochs="1")
    shorten(tmp_path / "cartesian.yaml", max_time="0.02")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "train.yaml", "-o", "schnet"]) == 0
    assert cli.main(["train", "cartesian.yaml", "-o", "cartesian"]) == 0
    assert cli.main(["report", "schnet", "cartesian", "-o", "page.html"]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "FF01-SchNet" in page
    assert "FF01-Cartesian" in page
    # the same data and parts, so that the lowest errors are marked
    assert "were not trained and tested on the same data" not in page


@pytest.mark.filterwarnings("default:the potential was trained on")
def test_copper_trains_and_relaxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "copper/make_data.py"))["main"](number=30)
    for file in ("train.yaml", "simulate.yaml", "npt.yaml", "nve.yaml"):
        (tmp_path / file).write_bytes((EXAMPLES / "copper" / file).read_bytes())
    shorten(tmp_path / "train.yaml", max_time="0.02")
    shorten(tmp_path / "simulate.yaml", fmax="1000")
    assert cli.main(["train", "train.yaml", "-o", "runs"]) == 0
    assert cli.main(["simulate", "simulate.yaml", "-o", "relaxed"]) == 0
    assert ase.io.read("relaxed/optimized.xyz").pbc.all()
    for ensemble in ("npt", "nve"):
        shorten(tmp_path / f"{ensemble}.yaml", time="0.04")
        assert cli.main(["simulate", f"{ensemble}.yaml", "-o", ensemble]) == 0
        assert Path(ensemble, "log.csv").read_text().splitlines()[0].endswith("volume_A3,pressure_GPa")


def test_reference_configuration_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = "examples/alanine_dipeptide"
    some_frames(ROOT / example / "dataset.pkl", tmp_path / example / "dataset.pkl", 50)
    (tmp_path / example / "atomic_energy.csv").write_bytes((ROOT / example / "atomic_energy.csv").read_bytes())
    (tmp_path / "reference.yaml").write_bytes((EXAMPLES / "reference.yaml").read_bytes())
    shorten(tmp_path / "reference.yaml", max_epochs="1")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "reference.yaml"]) == 0


@pytest.mark.parametrize("name", ["md17", "charged_hdf5"])
def test_data_of_other_groups_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    config = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    data = SHARED / "data" / config["Datahub"]["data_path"]
    if not data.exists():
        pytest.skip(f"{data} is not there")
    (tmp_path / data.name).symlink_to(data.resolve())
    (tmp_path / "train.yaml").write_bytes((EXAMPLES / f"{name}.yaml").read_bytes())
    shorten(tmp_path / "train.yaml", max_epochs="1", batch_size="50")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "train.yaml"]) == 0


def test_examples_say_their_units() -> None:
    """So that everything can be done with what they train."""
    # simulations have a model in place of data
    files = [file for file in EXAMPLES.rglob("*.yaml") if "Datahub" in yaml.safe_load(file.read_text())]
    assert len(files) >= 5
    for file in files:
        assert len(load_config(file).units.texts) == 2, file


def test_predictions_for_ase_of_md17(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = SHARED / "data/md17_ethanol.npz"
    if not data.exists():
        pytest.skip(f"{data} is not there")
    (tmp_path / data.name).symlink_to(data.resolve())
    text = (EXAMPLES / "md17.yaml").read_text()
    (tmp_path / "train.yaml").write_text(text.replace("[1000, 200, null]", "[100, 50, 50]"))
    shorten(tmp_path / "train.yaml", max_epochs="1")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "train.yaml"]) == 0
    for out in ("out.npz", "out.xyz"):
        assert cli.main(["predict", "ethanol-SchNet", data.name, "-o", out]) == 0
    first = ase.io.read("out.xyz", 0)
    with np.load("out.npz") as arrays:
        in_hartree = arrays["E"][0] / HARTREE_IN_KCAL_PER_MOL
        assert first.get_potential_energy() == pytest.approx(in_hartree * HARTREE_IN_EV, rel=1e-6)
        assert (arrays["energy_unit"], arrays["length_unit"]) == ("kcal/mol", "Angstrom")


def test_configuration_of_the_specification_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SHARED / "spec" / "train.yaml"
    if not source.exists():
        pytest.skip(f"{source} is not there")
    some_frames(EXAMPLES / "alanine_dipeptide/dataset.pkl", tmp_path / "dataset.pkl", 100)
    (tmp_path / "atomic_energy.csv").write_bytes((EXAMPLES / "alanine_dipeptide/atomic_energy.csv").read_bytes())
    (tmp_path / "train.yaml").write_bytes(source.read_bytes())
    assert load_config(tmp_path / "train.yaml").Trainer.max_epochs == 10000
    shorten(tmp_path / "train.yaml", max_epochs="1")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "train.yaml"]) == 0


def test_python_of_readme_and_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [(ROOT / page).read_text() for page in ("README.md", "docs/using.md")]
    write_toy(tmp_path)
    write_config(tmp_path, toy_config(Modelhub__FF01__architecture="Cartesian"))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "train.yaml"]) == 0
    for page in pages:
        names: dict[str, object] = {}
        exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), names)
        assert names["error"].shape == (24,)
        assert names["atoms"].get_forces().shape == (3, 3)
    assert names["potential"](names["water"])["Fa"].shape == (3, 3)
