"""Signs, units and slopes that do not go with the energies are reported."""

import copy
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from crystal_sets import NAMES, said, strained_crystals, warnings
from planted import Frame, report
from small_set import FRAMES, config

from pyg_nnp.units import HARTREE_IN_KCAL_PER_MOL, HARTREE_IN_KJ_PER_MOL

EXAMPLE = Path(__file__).parents[2] / "examples" / "alanine_dipeptide"


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


@pytest.mark.parametrize("sign", [1, -1])
def test_energies_per_atom(sign: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = [one | {"E": one["E"] / len(one["Za"]), "Fa": sign * one["Fa"]} for one in FRAMES]
    code, said = report(config(), planted, tmp_path, capsys)
    assert code == 1
    found = r"\(E\) looks like the energy per atom: .* Multiply it by the number of atoms"
    assert re.search(found, said), said
    assert "looks like forces" not in said


def test_a_number_of_atoms_that_is_near_the_factor_of_a_unit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example has 22 atoms, and 23.06 kcal/mol are an eV: the stiffness of bonds tells them apart."""
    document, frames = trajectory()
    planted = [one | {"Fa": 23.060548 * one["Fa"]} for one in frames]
    _, said = report(document, planted, tmp_path, capsys)
    assert "(Fa) looks like forces in" in said
    assert "energy per atom" not in said
    planted = [one | {"E": one["E"] / 22} for one in frames]
    _, said = report(document, planted, tmp_path, capsys)
    assert "(E) looks like the energy per atom" in said
    assert "looks like forces" not in said


# factors of energies and of forces, and what is said of them
IN_CELLS = {
    "right": (1.0, 1.0, "fine: between near frames -F·ΔR is "),
    "Hartree/Bohr": (1.0, 0.529177 / 27.211386, "in Hartree where energies are in eV, and per Bohr where"),
    "Hartree/Å": (1.0, 1 / 27.211386, "in Hartree where energies are in eV (factor 0.03675)"),
    "energies in Hartree": (1 / 27.211386, 1.0, "in eV where energies are in Hartree (factor 27.21)"),
    "energies in kcal/mol": (23.060548, 1.0, "in eV where energies are in kcal/mol (factor 0.04336)"),
    "energies per atom": (None, 1.0, "(E) looks like the energy per atom"),
}


@pytest.mark.parametrize("mistake", IN_CELLS)
@pytest.mark.parametrize("name", NAMES)
def test_forces_of_strained_crystals(
    name: str, mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Energies differ by the strain more than by the work of the forces; no two frames are near each other."""
    frames = strained_crystals(name)
    energy, force, expected = IN_CELLS[mistake]
    energy = energy or 1 / len(frames[0])
    text = said(frames, tmp_path, capsys, energy=energy, of_forces=lambda a: force * a.get_forces())
    assert expected in " ".join(text.split())
    assert len(warnings(text)) == (mistake != "right")
