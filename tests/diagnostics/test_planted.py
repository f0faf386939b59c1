"""Each mistake is reported in a small data set, and the data set without it is not."""

import copy
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from planted import Frame, plants, report
from scipy.spatial.transform import Rotation
from toy import frame, toy_config, write_config

from pyg_nnp.commands import cli
from pyg_nnp.units import HARTREE_IN_KCAL_PER_MOL, HARTREE_IN_KJ_PER_MOL

EXAMPLE = Path(__file__).parents[2] / "examples" / "alanine_dipeptide"
PLANTS = plants({"Ra", "Za", "Q", "E", "Fa", "Qa", "M2"}, ions=True, hartree=1.0)
STANDARD = {
    "coordinates": "Ra",
    "atomic_numbers": "Za",
    "energy": "E",
    "forces": "Fa",
    "atomic_charges": "Qa",
    "dipole": "M2",
}


def small_set() -> list[Frame]:
    """Return water, methanol and an ion with the shape of methanol, each turned at random."""
    rng = np.random.default_rng(0)
    frames = []
    for i in range(90):
        Q = float(i % 3 == 2)
        toy = frame(("H2O", "CH3OH", "CH3OH")[i % 3], rng, 0.03)
        one = {name: toy[source] for source, name in STANDARD.items()} | {"Q": Q}
        one["Qa"] = one["Qa"] + Q / len(one["Za"])
        turn = Rotation.random(rng=rng)
        one["Ra"], one["Fa"] = turn.apply(one["Ra"]), turn.apply(one["Fa"])
        one["M2"] = one["Qa"] @ one["Ra"]
        frames.append(one)
    return frames


FRAMES = small_set()


def config() -> dict:
    document = toy_config()
    document["Datahub"]["transforms"].pop("atomic_energy")
    return document


def test_right_data_are_not_called_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = report(config(), FRAMES, tmp_path, capsys)
    assert code == 0, said
    assert "Warnings: none" in said
    assert "WARNING: " not in said
    assert re.search(r"goes with Qa", said)


@pytest.mark.parametrize("mistake", list(PLANTS))
def test_planted_mistake_is_reported(mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = copy.deepcopy(FRAMES)
    expected = PLANTS[mistake](planted, np.random.default_rng(1))
    code, said = report(config(), planted, tmp_path, capsys)
    assert code == (2 if "ConfigError: " in said else 1), said
    assert re.search(expected, said), said


def trajectory() -> tuple[dict, list[Frame]]:
    """Return configuration and frames of the example."""
    document = yaml.safe_load((EXAMPLE / "train.yaml").read_text())
    document["Datahub"]["transforms"].pop("atomic_energy")
    names = document["Datahub"]["features"] | document["Datahub"]["targets"]
    frames = pickle.loads((EXAMPLE / "dataset.pkl").read_bytes())
    return document, [{name: one[source] for name, source in names.items()} for one in frames]


@pytest.mark.parametrize("step", [0, 1, -1])
def test_energies_of_another_frame(step: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, frames = trajectory()
    energies = [one["E"] for one in frames]
    for number, one in enumerate(frames):
        one["E"] = energies[(number + step) % len(frames)]
    code, said = report(document, frames, tmp_path, capsys)
    assert code == abs(step), said
    where = {1: "before", -1: "after"}.get(step)
    assert re.findall(r"\(Fa\) goes with the E of the frame (\w+) each", said) == [where] * abs(step)


def test_another_quantity_for_the_energy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, frames = trajectory()
    for number, one in enumerate(frames):
        one["E"] = 40.0 * number
    code, said = report(document, frames, tmp_path, capsys)
    assert code == 1, said
    assert re.search(r"\(E\) differs between near frames by \S+ times the work .* Is it the energy of these", said)


def test_advice_on_the_sign_depends_on_the_transform(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = config()
    document["Datahub"]["transforms"]["negative_gradient"] = False
    _, said = report(document, FRAMES, tmp_path, capsys)
    assert re.search(
        r"\(Fa\) looks like gradients, not forces: .* Set Datahub.transforms.negative_gradient: true", said
    )
    document["Datahub"]["transforms"]["negative_gradient"] = True
    planted = [one | {"Fa": -one["Fa"]} for one in FRAMES]
    _, said = report(document, planted, tmp_path, capsys)
    assert re.search(r"looks like forces, which negative_gradient turns .* Leave .*negative_gradient out", said)


def test_sign_and_unit_show_without_near_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bonds of hydrogen tell where each molecule is there once."""
    rng = np.random.default_rng(0)
    frames = []
    for i in range(40):
        # as many lone neon atoms far away as make it another molecule
        n = i + 1
        one = copy.deepcopy(FRAMES[0])
        stretch = rng.normal(scale=0.04, size=(2, 1))
        bond = np.array([[0.76, 0.0, 0.59], [-0.76, 0.0, 0.59]]) / 0.962
        # 0.44 Hartree/Bohr^2
        force = -0.44 / 0.529177**2 * stretch * bond
        far = np.arange(n)[:, None] * [0.0, 5.0, 0.0] + [0.0, 20.0, 0.0]
        one["Ra"] = np.concatenate(([[0.0, 0.0, 0.0]], (0.96 + stretch) * bond, far))
        one["Fa"] = -np.concatenate((-force.sum(axis=0, keepdims=True), force, np.zeros((n, 3))))  # gradients
        one |= {"Za": np.array([8, 1, 1] + n * [10]), "Qa": np.zeros(n + 3), "M2": np.zeros(3), "E": -76.0 - n}
        frames.append(one)
    code, said = report(config(), frames, tmp_path, capsys)
    assert "force constant of bonds of hydrogen" in said
    assert code == 0, said
    for factor, expected in ((-1, "looks like forces, which"), (0.529177, "per Bohr where positions are in Å")):
        planted = [one | {"Fa": factor * one["Fa"]} for one in frames]
        code, said = report(config(), planted, tmp_path, capsys)
        assert code == 1
        assert re.search(expected, said), said


def test_forces_off_by_a_factor_that_is_no_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for factor in (0.75, 1.3):
        planted = [one | {"Fa": factor * one["Fa"]} for one in FRAMES]
        code, said = report(config(), planted, tmp_path, capsys)
        assert code == 1, said
        found = re.search(r"\(Fa\) is ([\d.]+) ± [\d.]+ times the slope of E, which no unit explains", said)
        assert found, said
        assert float(found[1]) == pytest.approx(factor, rel=0.1)
        assert "WARNING: between near frames" in said  # in the row of the table


def test_energies_without_forces_in_another_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = config()
    model, targets = document["Modelhub"]["FF01"], document["Datahub"]["targets"]
    model["layers"] = [entry for entry in model["layers"] if entry["name"] != "Force"]
    for weights in (targets, model["loss"]["rmse"], document["Metrics"]["rmse"]):
        del weights["Fa"]
    document["Datahub"]["transforms"]["negative_gradient"] = False
    code, said = report(document, FRAMES, tmp_path, capsys)
    assert code == 0, said
    planted = [one | {"E": HARTREE_IN_KCAL_PER_MOL * one["E"]} for one in FRAMES]
    code, said = report(document, planted, tmp_path, capsys)
    assert code == 1, said
    assert re.search(r"Hartree_in_E: 1 does not go with the energies, which look like kcal/mol: .* 627\.509", said), (
        said
    )


def test_positions_in_bohr_without_a_unit_are_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = config()
    params = document["Modelhub"]["FF01"]["build_params"]
    for name in ("Hartree_in_E", "Bohr_in_R"):
        del params[name]
    layers = document["Modelhub"]["FF01"]["layers"]
    document["Modelhub"]["FF01"]["layers"] = [entry for entry in layers if entry["name"] != "ElectrostaticEnergy"]
    moved = [
        one | {"Ra": one["Ra"] / 0.529177, "Fa": one["Fa"] * 0.529177, "M2": one["M2"] / 0.529177} for one in FRAMES
    ]
    code, said = report(document, moved, tmp_path, capsys)
    assert code == 1, said
    assert "cutoff_sr: the positions look like Bohr" in said
    params["cutoff_sr"] = 8.0
    code, said = report(document, moved, tmp_path, capsys)
    assert code == 0, said


def test_an_error_of_the_configuration_comes_after_the_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = [one | {"Fa": 27.211386 * one["Fa"]} for one in FRAMES]
    code, said = report(config(), planted, tmp_path, capsys)
    assert code == 2
    assert said.index("in eV where energies are in Hartree") < said.index("ConfigError: ")


def test_check_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(config(), FRAMES, tmp_path, capsys)
    out = tmp_path / "out"
    assert {path.name.partition("_")[0] for path in out.iterdir()} == {"logs", "processed"}


def test_check_of_a_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path)
    assert cli.main(["check", "train.yaml"]) == 2
    assert "ConfigError: " in capsys.readouterr().err


def test_training_warns_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = config()
    document["Trainer"] |= {"max_epochs": 1}
    planted = copy.deepcopy(FRAMES)
    planted[3]["Q"] = 1.0
    report(document, planted, tmp_path, capsys)
    assert cli.main(["train", str(tmp_path / "train.yaml"), "-o", str(tmp_path / "trained")]) == 0
    assert re.search(r"frame 3: 'atomic_charges' \(Qa\) does not add up to", capsys.readouterr().err)
    assert (tmp_path / "trained/FF01-SchNet/metrics.json").exists()


def lone(element: int) -> Frame:
    nothing = np.zeros((1, 3))
    return {"Ra": nothing, "Za": np.array([element]), "Q": 0.0, "E": -2.0, "Fa": nothing, "Qa": nothing[0, :1]} | {
        "M2": nothing[0]
    }


@pytest.mark.parametrize(
    ("frames", "duplicates"),
    [
        (FRAMES[:3], 0),
        ([*FRAMES, lone(2)], 0),
        ([FRAMES[0]] * 30, 29),
        ([lone(2) | {"Ra": np.full((1, 3), 0.1 * i)} for i in range(30)], 29),
        ([one | {"Fa": 0 * one["Fa"], "M2": 0 * one["M2"], "E": 0.0} for one in FRAMES], 0),
    ],
    ids=["three frames", "with a lone atom", "one frame", "lone atoms", "zeros"],
)
def test_odd_data_sets(
    frames: list[Frame], duplicates: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = config()
    document["Trainer"] |= {"batch_size": 1, "Splitter": {"parts": ["training", "validation"], "ratios": [0.5, 0.5]}}
    _, said = report(document, frames, tmp_path, capsys)
    found = re.findall(r"planted\.pkl: (\d+ cop\w+ of other frames|.*?'\w+' \()", said)
    assert found == (
        [f"{duplicates} {'copy' if duplicates == 1 else 'copies'} of other frames"] if duplicates else []
    ), said


def test_unit_that_energies_and_forces_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They go together, and only the stiffness of bonds shows that they are not in the unit that is configured."""
    planted = copy.deepcopy(FRAMES)
    for one in planted:
        one["E"], one["Fa"] = one["E"] * HARTREE_IN_KJ_PER_MOL, one["Fa"] * HARTREE_IN_KJ_PER_MOL
    document = config()
    document["Modelhub"]["FF01"]["build_params"]["Hartree_in_E"] = HARTREE_IN_KCAL_PER_MOL
    code, said = report(document, planted, tmp_path, capsys)
    assert code == 1
    assert "looks like kJ/mol, as the energies do, and not what build_params.Hartree_in_E: 627.509 says" in said
    document["Modelhub"]["FF01"]["build_params"]["Hartree_in_E"] = HARTREE_IN_KJ_PER_MOL
    code, said = report(document, planted, tmp_path, capsys)
    assert code == 0, said
