"""The structure that a simulation begins with, and what it must not become."""

import re
from pathlib import Path
from typing import Any

import ase.io
import morse
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from simulations import DYNAMICS, last, rows, simulate
from toy import toy_config

from pyg_nnp.config import config_from_dict
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.checkpoint import save_potential


def test_the_last_of_several_structures_is_taken_and_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stretched = molecule("H2O")
    stretched.positions[1] += 0.1
    ase.io.write("two.xyz", [molecule("H2O"), stretched])
    assert simulate(single_point={}, structure="two.xyz") == 0
    assert "two.xyz: has 2 structures, of which the last is taken." in capsys.readouterr().err
    np.testing.assert_allclose(last().positions, stretched.positions, atol=1e-7)


def test_positions_that_are_not_in_angstrom(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a file says itself; ASE would take them to be."""
    for unit, expected in (("Bohr", 2), ("Angstrom", 0)):
        water = molecule("H2O")
        water.info |= {"length_unit": unit, "energy_unit": "Hartree"}
        ase.io.write("said.xyz", water)
        assert simulate(unit, single_point={}, structure="said.xyz") == expected
        told = capsys.readouterr().err
        assert ("said.xyz: positions are in Bohr, as 'length_unit' says, but have to be in Å" in told) == bool(expected)
    frame = ase.io.read("Angstrom/trajectory.xyz")
    assert frame.info["energy_unit"] == "eV"
    # what a simulation wrote is what another begins with
    assert simulate("again", single_point={}, structure="Angstrom/trajectory.xyz") == 0


def test_constraints_hold(folder: Path) -> None:
    start = molecule("H2O")
    held = {"fixed_atoms": [0], "fixed_distances": [[1, 2]]}
    assert simulate("nve", dynamics=DYNAMICS | {"ensemble": "nve"}, constraints=held) == 0
    assert simulate("opt", optimization={"fmax": 0.001}, constraints=held) == 0
    for atoms in (last("nve"), last("opt")):
        np.testing.assert_allclose(atoms.positions[0], start.positions[0], atol=1e-7)
        assert atoms.get_distance(1, 2) == pytest.approx(start.get_distance(1, 2), abs=1e-7)
        assert not np.allclose(atoms.positions[1], start.positions[1], atol=1e-3)
    assert last("opt").get_distance(0, 1) == pytest.approx(morse.R0, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"timestep": 30.0, "temperature": 3000.0, "max_temperature": 1e4},
            r"step \d+: .*shorter timestep",
        ),
        ({"max_temperature": 1.0}, r"SimulationError: step 0: the temperature is \d+ K, above max_temperature"),
    ],
)
def test_explosion(folder: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str) -> None:
    assert simulate(dynamics=DYNAMICS | {"interval": 1} | options) == 2
    assert re.search(message, capsys.readouterr().err)


def test_atoms_that_fly_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast = molecule("H2O")
    fast.set_velocities([[0, 0, 0], [0, 8, 0], [0, -8, 0]])
    ase.io.write("fast.xyz", fast)
    options = {"velocities": "structure", "ensemble": "nve", "steps": 2000}
    assert simulate(structure="fast.xyz", dynamics=DYNAMICS | options) == 2
    assert re.search(r"step \d+: atoms fly apart: none is within 8.0 Å of atom [012]", capsys.readouterr().err)
    # what was written before stays
    assert len(ase.io.read("out/trajectory.xyz", ":")) == len(rows()) > 1


@pytest.mark.parametrize(
    ("distance", "speed", "message"),
    [
        (
            2.5,
            0.0,
            r"Step \d+: atoms 0 \(C\) and 1 \(C\) are 1\.\d+ Å apart, as near as if bonded, which they were not",
        ),
        (1.1, 0.6, r"Step \d+: atoms 0 \(C\) and 1 \(C\) are 2\.[4-9]\d? Å apart, too far apart to be bonded"),
        (1.1, 0.1, None),
    ],
)
def test_bonds_that_form_or_break(
    folder: Path, capsys: pytest.CaptureFixture[str], distance: float, speed: float, message: str | None
) -> None:
    two = Atoms("C2", [[0, 0, 0], [0, 0, distance]])
    two.set_velocities([[0, 0, -speed], [0, 0, speed]])
    ase.io.write("two.xyz", two)
    options = {"velocities": "structure", "ensemble": "nve", "steps": 400}
    assert simulate(structure="two.xyz", dynamics=DYNAMICS | options) == 0
    said = capsys.readouterr().err
    assert ("No bond has formed or broken." in said) == (message is None)
    warnings = [line for line in said.splitlines() if "Said once" in line]
    assert len(warnings) == (message is not None)
    assert message is None or re.search(message, warnings[0])


def test_energy_that_is_no_number(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    potential = build_potential(config_from_dict(toy_config()), "FF01")
    next(potential.parameters()).data.fill_(float("nan"))
    save_potential(potential, folder / "toy" / "best.safetensors", {})
    assert simulate(model="toy", single_point={}) == 2
    assert "SimulationError: step 0: the energy is nan eV" in capsys.readouterr().err
