"""Single points, minima, scans and barriers that are known."""

import re
from pathlib import Path

import ase.io
import morse
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from simulations import last, rows, simulate

from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.units import HARTREE_IN_EV


def test_single_point_writes_all_properties(folder: Path) -> None:
    assert simulate(model="toy", structure="water.xyz", charge=-1, single_point=None) == 0
    atoms, found = molecule("H2O"), last()
    atoms.info["charge"] = -1
    atoms.calc = PotentialCalculator(folder / "toy")
    atoms.get_potential_energy()
    for name in ("energy", "forces", "charges", "dipole"):
        np.testing.assert_allclose(found.calc.results[name], atoms.calc.results[name], atol=1e-6)
    assert found.info["charge"] == -1
    assert rows()["energy_eV"] == pytest.approx(atoms.get_potential_energy())


@pytest.mark.parametrize("optimizer", ["BFGS", "LBFGS", "FIRE"])
def test_optimisation_ends_in_the_minimum(folder: Path, optimizer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(optimisation={"optimizer": optimizer, "fmax": 0.001}) == 0
    np.testing.assert_allclose(last().get_all_distances()[np.triu_indices(3, 1)], morse.R0, atol=1e-4)
    assert rows()["energy_eV"][-1] == pytest.approx(-3 * morse.D * HARTREE_IN_EV, abs=1e-6)
    assert rows()["largest_force_eV_per_A"][-1] < 0.001
    said = re.search(r"Converged after (\d+) steps: energy from (\S+) to (\S+) eV", capsys.readouterr().err)
    assert said
    assert int(said[1]) == rows()["step"][-1]
    assert float(said[2]) == pytest.approx(rows()["energy_eV"][0], abs=1e-6)
    assert float(said[3]) == pytest.approx(rows()["energy_eV"][-1], abs=1e-6)
    np.testing.assert_array_equal(ase.io.read("out/optimized.xyz").positions, last().positions)


def test_what_has_not_converged_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(optimization={"steps": 2}) == 1
    assert "Not converged" in capsys.readouterr().err
    assert len(ase.io.read("out/trajectory.xyz", ":")) == 3


def test_scan_of_a_distance(folder: Path) -> None:
    options = {"atoms": [0, 1], "start": 0.9, "stop": 1.5, "points": 4, "fmax": 0.001}
    assert simulate("relaxed", scan=options) == 0
    assert simulate("rigid", scan=options | {"relaxed": False}) == 0
    relaxed, rigid = rows("relaxed"), rows("rigid")
    np.testing.assert_allclose(relaxed["distance_A"], [0.9, 1.1, 1.3, 1.5])
    for frame, distance in zip(ase.io.read("relaxed/trajectory.xyz", ":"), relaxed["distance_A"], strict=True):
        assert frame.get_distance(0, 1) == pytest.approx(distance, abs=1e-6)
        # the third atom is free to find both of its minima
        assert frame.get_distance(0, 2) == pytest.approx(morse.R0, abs=1e-3)
    bond = (1 - np.exp(-morse.A * (relaxed["distance_A"] - morse.R0))) ** 2 - 1
    np.testing.assert_allclose(relaxed["energy_eV"], HARTREE_IN_EV * morse.D * (bond - 2), atol=1e-5)
    assert (rigid["energy_eV"] > relaxed["energy_eV"]).all()
    assert all(
        np.allclose(a.positions[2], molecule("H2O").positions[2]) for a in ase.io.read("rigid/trajectory.xyz", ":")
    )


def pyramid(height: float) -> Atoms:
    """Return N above or below a triangle of H, all at the minimum of their Morse bonds."""
    radius = morse.R0 / np.sqrt(3)
    corners = [[radius * np.cos(t), radius * np.sin(t), 0] for t in 2 * np.pi / 3 * np.arange(3)]
    return Atoms("NH3", [[0, 0, height], *corners])


@pytest.mark.parametrize("interpolation", ["idpp", "linear"])
def test_barrier_of_inversion(folder: Path, interpolation: str) -> None:
    height = morse.R0 * np.sqrt(2 / 3)
    ase.io.write("up.xyz", pyramid(height))
    ase.io.write("down.xyz", pyramid(-height))
    options = {"final": "down.xyz", "images": 4, "fmax": 0.01, "interpolation": interpolation}
    assert simulate(structure="up.xyz", neb=options, constraints={"fixed_atoms": [1, 2, 3]}) == 0
    # N climbs to the centre of the triangle, although no image starts there
    barrier = 3 * morse.D * (1 - np.exp(-morse.A * (morse.R0 / np.sqrt(3) - morse.R0))) ** 2 * HARTREE_IN_EV
    assert rows()["barrier_eV"][-1] == pytest.approx(barrier, rel=1e-3)
    assert rows()["reaction_eV"][-1] == pytest.approx(0, abs=1e-3)
    images = ase.io.read("out/trajectory.xyz", ":")
    assert len(images) == 6
    assert min(np.linalg.norm(image.positions[0]) for image in images) < 0.02
