"""Units of files that a potential is used on: given, stated, of the training, of ASE."""

import json
import logging
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from command_line import FEATURES, MODEL, TARGETS, refused, toy_arrays, water

from pyg_nnp.commands import cli
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.file_units import ForceScale, units_of_file
from pyg_nnp.potential.checkpoint import load_potential, save_potential
from pyg_nnp.potential.potential import Potential
from pyg_nnp.units import ASE, BOHR_IN_ANGSTROM, HARTREE_IN_EV, Units

# the potential's training set is small
pytestmark = pytest.mark.filterwarnings("ignore:atoms come closer than in the training data")

OUTPUTS = ("E", "Fa", "Qa", "M2")


def trained(folder: Path, data_format: str = "pickle", **build_params: float) -> str:
    """Save the potential as if its training had had another format and other units, and return its folder."""
    potential = load_potential(MODEL)
    potential.spec["config"]["Datahub"]["data_format"] = data_format
    if data_format == "extxyz":
        names = {"Ra": "positions", "Za": "numbers", "Q": "charge"}
        potential.spec["config"]["Datahub"] |= {
            "features": names,
            "targets": {"E": "energy", "Fa": "forces", "Qa": "charges", "M2": "dipole"},
            "transforms": {**potential.spec["config"]["Datahub"]["transforms"], "negative_gradient": False},
        }
    for params in (
        potential.spec["build_params"],
        potential.spec["config"]["Modelhub"]["internal_FFs"]["FF01"]["build_params"],
    ):
        for name in ("Hartree_in_E", "Bohr_in_R"):
            params.pop(name)
        params |= build_params
    folder.mkdir()
    save_potential(potential, folder / "best.safetensors", {})
    return str(folder)


IN_HARTREE = {"Hartree_in_E": 1.0, "Bohr_in_R": BOHR_IN_ANGSTROM}


def recomputed(path: Path, **info: str) -> Path:
    """Write frames whose labels a calculator of the potential has computed, as ASE does: in eV and Å."""
    frames = []
    arrays = toy_arrays()
    ends = np.cumsum(arrays["N"])
    calculator = PotentialCalculator(MODEL)
    for first, last in zip(ends - arrays["N"], ends, strict=True):
        atoms = ase.Atoms(arrays["Za"][first:last], arrays["Ra"][first:last], info={"charge": 0.0, **info})
        atoms.calc = calculator
        atoms.get_potential_energy()
        atoms.calc = SinglePointCalculator(atoms, **calculator.results)
        frames.append(atoms)
    if path.suffix == ".db":
        with ase.db.connect(path) as rows:
            for atoms in frames:
                rows.write(atoms)
    else:
        ase.io.write(path, frames)
    return path


def errors(model: str, data: Path, *options: str) -> dict[str, Any]:
    out = data.parent / "errors.json"
    out.unlink(missing_ok=True)
    assert cli.main(["evaluate", model, str(data), "--json", str(out), *options]) == 0
    return {name: of["all"]["max"] for name, of in json.loads(out.read_text()).items() if name != "Q"}


@pytest.mark.parametrize("ending", ["xyz", "db"])
def test_frames_of_ase_are_in_its_units(
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    found = errors(MODEL, recomputed(tmp_path / f"frames.{ending}"))
    assert all(found[name] < 1e-5 for name in OUTPUTS)
    said = capsys.readouterr()
    assert f"frames.{ending}: converted from eV to Hartree (as ASE has it)." in said.err
    assert "fit far better" not in said.err
    assert "Hartree/Å" in said.out


def test_frames_of_simulations_are_in_units_of_ase(trained_folder: Path, tmp_path: Path) -> None:
    """Also for a potential of the same format, in other units."""
    model = trained(tmp_path / "model", "extxyz", **IN_HARTREE)
    ase.io.write("start.xyz", water(0))
    Path("sim.yaml").write_text(f"{{model: {model}, structure: start.xyz, charge: 0, single_point: {{}}}}")
    assert cli.main(["simulate", "sim.yaml", "-o", str(tmp_path / "sim")]) == 0
    frame = ase.io.read(tmp_path / "sim/trajectory.xyz")
    assert frame.info["energy_unit"] == "eV"
    assert frame.info["length_unit"] == "Angstrom"
    found = errors(model, tmp_path / "sim/trajectory.xyz")
    assert all(found[name] < 1e-5 for name in OUTPUTS)


def test_the_format_of_the_training_is_in_its_units(
    trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that what ASE recomputed is told by its forces, and is right with --units or where the frames say it."""
    model = trained(tmp_path / "model", "extxyz", **IN_HARTREE)
    plain = recomputed(tmp_path / "plain.xyz")
    assert errors(model, plain)["Fa"] > 0.01
    said = capsys.readouterr().err
    assert "the forces fit far better if they are multiplied by 0.03675" in said
    assert "as if they were in eV/Å. If they are, say --units eV,Angstrom." in said
    right = errors(model, plain, "--units", "eV,Angstrom")
    assert all(right[name] < 1e-5 for name in OUTPUTS)
    assert "converted from eV to Hartree (as given)" in capsys.readouterr().err
    stated = errors(model, recomputed(tmp_path / "stated.xyz", energy_unit="eV"))
    assert stated == pytest.approx(right)
    assert "converted from eV to Hartree (as 'energy_unit' says)" in capsys.readouterr().err


def test_arrays_in_other_units_say_them(trained_folder: Path, tmp_path: Path) -> None:
    arrays = toy_arrays()
    changes = {"Ra": 1 / BOHR_IN_ANGSTROM, "E": 627.509474, "Fa": -627.509474 * BOHR_IN_ANGSTROM}
    changes |= {"M2": 1 / BOHR_IN_ANGSTROM}
    changed = {name: arrays[name] * changes.get(name, 1.0) for name in FEATURES | TARGETS}
    changed |= {"N": arrays["N"], "Za": arrays["Za"]}
    np.savez(tmp_path / "stated.npz", **changed, energy_unit="kcal/mol", length_unit="Bohr")
    np.savez(tmp_path / "silent.npz", **changed)
    names = [f"--map={name}={name}" for name in ("E", "Fa")]
    same = errors(MODEL, Path("dataset.pkl").resolve())
    for file, options in (("stated", []), ("silent", ["--units", "kcal/mol,Bohr"])):
        found = errors(MODEL, tmp_path / f"{file}.npz", "--no-negative-gradient", *names, *options)
        assert found == pytest.approx(same, rel=1e-3), file


@pytest.mark.parametrize("ending", ["npz", "h5", "extxyz"])
@pytest.mark.parametrize("units", [IN_HARTREE, {"Hartree_in_E": 3.3, "Bohr_in_R": 1.0}])
def test_what_predict_wrote_is_read(trained_folder: Path, tmp_path: Path, ending: str, units: dict[str, float]) -> None:
    """By predict, evaluate and init, whatever the units of the potential."""
    model = trained(tmp_path / "model", **units)
    first, second = tmp_path / f"first.{ending}", tmp_path / f"second.{ending}"
    assert cli.main(["predict", model, "dataset.pkl", "-o", str(first)]) == 0
    assert cli.main(["predict", model, str(first), "-o", str(second)]) == 0
    if ending == "npz":
        with np.load(first) as one, np.load(second) as other:
            for name in ("N", "Ra", "Za", "Q", *OUTPUTS):
                assert one[name] == pytest.approx(other[name], rel=1e-5, abs=1e-5)
    assert all(error < 1e-4 for error in errors(model, second).values())
    assert cli.main(["init", str(first), "-o", str(tmp_path / "init.yaml")]) == 0
    text = (tmp_path / "init.yaml").read_text()
    assert "positions are in Bohr, as" in text if ending != "extxyz" and units["Bohr_in_R"] == 1 else "in Å, as" in text


def test_a_potential_without_units(trained_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It reads and writes arrays in its own; what is in others needs to be said."""
    model = trained(tmp_path / "model")
    for ending in ("npz", "h5"):
        assert cli.main(["predict", model, "dataset.pkl", "-o", str(tmp_path / f"out.{ending}")]) == 0
        assert max(errors(model, tmp_path / f"out.{ending}").values()) < 1e-4
    with np.load(tmp_path / "out.npz") as out:
        assert not [name for name in out if "unit" in name]
    capsys.readouterr()
    said = refused(capsys, "predict", model, "dataset.pkl", "-o", str(tmp_path / "out.xyz"))
    assert "it would be in eV and Å, but the potential does not say its units. Write .npz or .h5" in said
    assert not (tmp_path / "out.xyz").exists()
    frames = recomputed(tmp_path / "frames.xyz")
    for command in (["evaluate", model, str(frames)], ["predict", model, str(frames), "-o", str(tmp_path / "f.npz")]):
        said = refused(capsys, *command)
        assert "frames.xyz: it is in eV and Angstrom, but the potential does not say its units. Train it with" in said
        assert "or say --units training" in said
        assert cli.main([*command, "--units", "training"]) == 0
        capsys.readouterr()


def test_only_the_unit_that_is_needed(trained_folder: Path, tmp_path: Path) -> None:
    model = trained(tmp_path / "model", Bohr_in_R=1.0)
    ase.io.write(tmp_path / "water.xyz", water(0))
    assert cli.main(["predict", model, str(tmp_path / "water.xyz"), "-o", str(tmp_path / "out.npz")]) == 0
    with np.load(tmp_path / "out.npz") as out:
        assert out["Ra"] == pytest.approx(water().positions / BOHR_IN_ANGSTROM)
        assert out["length_unit"] == "Bohr"
        assert "energy_unit" not in out


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("parsec", "--units parsec: 'parsec' is no known unit of energy or length. Write --units eV,Angstrom"),
        ("eV,", "'' is no known unit"),
        ("eV,Hartree", "--units eV,Hartree: these are two units of the same"),
    ],
)
def test_mistakes_in_units(trained_folder: Path, capsys: pytest.CaptureFixture[str], given: str, expected: str) -> None:
    assert expected in refused(capsys, "evaluate", MODEL, "dataset.pkl", "--units", given)
    assert expected in refused(capsys, "predict", MODEL, "dataset.pkl", "-o", "no.npz", "--units", given)


def test_the_data_of_the_training_are_in_its_units(trained_folder: Path, tmp_path: Path) -> None:
    """Whatever they say: a training that was told otherwise has read them so."""
    arrays, sources = toy_arrays(), FEATURES | TARGETS
    file = tmp_path / "same.npz"
    np.savez(file, **{sources[name]: arrays[name] for name in sources}, energy_unit="eV")
    same = errors(MODEL, Path("dataset.pkl").resolve())
    assert errors(MODEL, file)["E"] > 10
    potential = load_potential(MODEL)
    potential.spec["config"]["Datahub"]["data_path"] = str(file)
    (tmp_path / "model").mkdir()
    save_potential(potential, tmp_path / "model/best.safetensors", {})
    assert errors(str(tmp_path / "model"), file) == pytest.approx(same)


class TestRules:
    @pytest.fixture
    def potential(self, trained_folder: Path) -> Potential:
        return load_potential(MODEL)  # in Hartree and Å

    def test_given_before_stated_before_format(self, potential: Potential, tmp_path: Path) -> None:
        names = {"Ra": "positions", "E": "energy"}
        atoms = water()
        ase.io.write(tmp_path / "plain.xyz", atoms)
        atoms.info["energy_unit"] = "kcal/mol"
        ase.io.write(tmp_path / "stated.xyz", atoms)
        energies = [
            units_of_file(potential, tmp_path / name, "extxyz", names, given, ["energy"]).units.texts
            for name, given in (
                ("plain.xyz", None),
                ("stated.xyz", None),
                ("stated.xyz", "Ry"),
                ("plain.xyz", "training"),
            )
        ]
        assert [texts["energy"] for texts in energies] == ["eV", "kcal/mol", "Ry", "Hartree"]
        assert {texts["length"] for texts in energies} == {"Angstrom"}
        # any other file that ASE reads
        assert units_of_file(potential, tmp_path / "a.traj", None, {}, None, ["length"]).units == ASE

    def test_what_is_not_understood_is_told(
        self, potential: Potential, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        np.savez(tmp_path / "some.npz", R=np.ones((1, 1, 3)), units="mine")
        found = units_of_file(potential, tmp_path / "some.npz", "npz", {"Ra": "R"}, None, ["length"])
        assert found.units == potential.units
        assert "some.npz: 'units' is 'mine', which is no known unit." in caplog.text

    def test_errors(self, potential: Potential, tmp_path: Path) -> None:
        np.savez(tmp_path / "some.npz", R=np.ones((1, 1, 3)))
        arguments = potential, tmp_path / "some.npz", "npz", {"Ra": "R"}
        with pytest.raises(ConfigError, match="no known unit"):
            units_of_file(*arguments, "foo", ["length"])
        del potential.spec["build_params"]["Hartree_in_E"]
        with pytest.raises(DataError, match=r"Train it with Hartree_in_E in build_params"):
            units_of_file(*arguments, "eV", ["energy"])
        assert units_of_file(*arguments, None, ["energy"]).units == Units(None, potential.units.bohr)


class TestForceScale:
    def said(self, factor: float, caplog: pytest.LogCaptureFixture, used: Units = ASE, noise: float = 0.1) -> str:
        true = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
        ours = true + noise * torch.randn(300, 3, generator=torch.Generator().manual_seed(1))
        given = true / factor
        given[::3] = torch.nan
        forces = ForceScale()
        for first in range(0, 300, 100):
            forces.add(ours[first : first + 100], given[first : first + 100])
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            forces.report(Path("some.xyz"), used)
        return caplog.text

    def test_forces_in_the_same_unit_are_silent(self, caplog: pytest.LogCaptureFixture) -> None:
        assert not self.said(1.0, caplog)
        assert not self.said(1.2, caplog)  # too soft
        assert not self.said(27.2, caplog, noise=3.0)  # as good as untrained
        assert not self.said(0.01, caplog, noise=3.0)
        ForceScale().report(Path("without.xyz"), ASE)
        assert not caplog.text

    @pytest.mark.parametrize(
        ("factor", "used", "unit"),
        [
            (HARTREE_IN_EV, ASE, "Hartree/Å. If they are, say --units Hartree,Angstrom"),
            (HARTREE_IN_EV / BOHR_IN_ANGSTROM, ASE, "Hartree/Bohr. If they are, say --units Hartree,Bohr"),
            (1 / HARTREE_IN_EV, Units(1.0, BOHR_IN_ANGSTROM), "eV/Å"),
            (0.043364, ASE, "kcal/mol/Å"),
            (1 / BOHR_IN_ANGSTROM, ASE, "eV/Bohr"),
        ],
    )
    def test_forces_in_another_unit(
        self, factor: float, used: Units, unit: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        said = self.said(factor, caplog, used)
        assert "fit far better if they are multiplied by" in said
        assert f"as if they were in {unit}" in said

    def test_a_factor_that_no_unit_explains(self, caplog: pytest.LogCaptureFixture) -> None:
        for said in (self.said(7.0, caplog), self.said(27.2, caplog, Units())):
            assert "fit far better if they are multiplied by" in said
            assert "as if" not in said

    def test_gradients_in_another_unit(self, caplog: pytest.LogCaptureFixture) -> None:
        assert "other sign" in self.said(-1.0, caplog)
        assert "multiplied" not in caplog.text
        assert "as if they were in Hartree/Å" in self.said(-HARTREE_IN_EV, caplog)
