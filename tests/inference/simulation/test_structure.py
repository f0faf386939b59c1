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
from ase.constraints import FixAtoms, FixBondLengths, FixCartesian, FixedLine, Hookean
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


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ('lattice="9 0 0 0 9 0 0 0 9"', "write 'Lattice' in place of 'lattice', which ASE leaves out"),
        ('Lattice="9 0 0 0 9 0 0 0 9" PBC="F F F"', "write 'pbc' in place of 'PBC', which ASE leaves out"),
        ('Lattice="9 0 0 0 9 0 0 0 9" pbc=FFF', "'pbc' is 'FFF', which ASE misreads"),
    ],
)
def test_cells_that_ase_misreads(folder: Path, capsys: pytest.CaptureFixture[str], comment: str, message: str) -> None:
    Path("small.xyz").write_text(f"1\n{comment}\nO 0 0 0\n")
    assert simulate(single_point={}, structure="small.xyz") == 2
    assert f"DataError: small.xyz: {message}" in capsys.readouterr().err


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
    assert "DataError: water.xyz: predictions of energy, " in capsys.readouterr().err


OPT = {"optimization": {"fmax": 0.001, "steps": 30}}
MD = {"dynamics": DYNAMICS | {"ensemble": "nve", "steps": 30}}


def stretched(*constraints: Any, name: str = "held.traj") -> Atoms:
    """Write water that is no minimum, with constraints."""
    atoms = molecule("H2O")
    atoms.positions[:, 2] *= 1.1
    atoms.set_constraint(list(constraints))
    ase.io.write(name, atoms)
    return atoms


@pytest.mark.parametrize("task", [OPT, MD, {"dynamics": DYNAMICS | {"steps": 30}}])
@pytest.mark.parametrize("name", ["held.traj", "held.extxyz", "held.json", "held.db"])
def test_atoms_that_a_structure_file_fixes_stay(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, task: dict[str, Any]
) -> None:
    start = stretched(FixAtoms([0, 1]), name=name)
    assert simulate(structure=name, **task) in (0, 1)
    np.testing.assert_allclose(last().positions[:2], start.positions[:2], atol=1e-7)
    assert not np.allclose(last().positions[2], start.positions[2], atol=1e-3)
    assert f"{name}: its constraints of the atoms 0, 1 hold." in capsys.readouterr().err
    # and are not lost with the next run from its last frame
    assert simulate("next", structure="out/trajectory.xyz", **task) in (0, 1)
    np.testing.assert_allclose(last("next").positions[:2], start.positions[:2], atol=1e-7)


def test_directions_and_distances_that_a_structure_file_holds(folder: Path) -> None:
    start = stretched(FixCartesian([0], (True, False, True)), FixCartesian([1], (True, True, True)), name="a.extxyz")
    assert simulate(structure="a.extxyz", **OPT) in (0, 1)
    moved = last().positions - start.positions
    np.testing.assert_allclose(moved[[0, 0, 1, 1, 1], [0, 2, 0, 1, 2]], 0, atol=1e-7)
    assert abs(moved[0, 1]) > 1e-4
    start = stretched(FixBondLengths([[1, 2]]))
    assert simulate("md", structure="held.traj", **MD) == 0
    assert last("md").get_distance(1, 2) == pytest.approx(start.get_distance(1, 2), abs=1e-6)


def test_constraints_of_both_files_hold(folder: Path) -> None:
    start = stretched(FixAtoms([0]))
    assert simulate(structure="held.traj", constraints={"fixed_distances": [[1, 2]]}, **OPT) in (0, 1)
    np.testing.assert_allclose(last().positions[0], start.positions[0], atol=1e-7)
    assert last().get_distance(1, 2) == pytest.approx(start.get_distance(1, 2), abs=1e-7)


def test_constraints_of_a_structure_file_can_be_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = stretched(FixAtoms([0, 1]))
    assert simulate(structure="held.traj", constraints={"from_structure": False}, **OPT) in (0, 1)
    assert not np.allclose(last().positions[:2], start.positions[:2], atol=1e-3)
    assert "its constraints" not in capsys.readouterr().err


@pytest.mark.parametrize("constraint", [FixedLine([0], [0, 0, 1]), Hookean(0, 1, 5.0, rt=1.0)])
def test_constraints_that_are_not_taken_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str], constraint: Any
) -> None:
    stretched(constraint, FixAtoms([2]))
    assert simulate(structure="held.traj", **OPT) in (0, 1)
    kind = type(constraint).__name__
    assert f"held.traj: its constraints of the kinds {kind} are not taken: what they hold moves." in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constraints": {"fixed_distances": [[0, 1]]}} | OPT, "atom 0 is fixed and part of a fixed distance"),
        ({"scan": {"atoms": [1, 0], "start": 1.0, "stop": 1.2, "points": 2}}, "atom 0 is part of constraints, too"),
    ],
)
def test_constraints_that_do_not_go_together(
    folder: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    stretched(FixAtoms([0]))
    assert simulate(structure="held.traj", **options) == 2
    assert message in capsys.readouterr().err


def test_a_constraint_of_an_atom_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stretched(FixAtoms([7]))
    assert simulate(structure="held.traj", **OPT) == 2
    assert "held.traj: it has a constraint of atom 7, but 3 atoms." in capsys.readouterr().err


def test_a_path_has_the_constraints_of_its_first_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = stretched(FixAtoms([0]))
    stretched(FixAtoms([1]), name="final.traj")
    options = {"final": "final.traj", "images": 1, "steps": 2}
    assert simulate(structure="held.traj", neb=options) in (0, 1)
    assert "final.traj: its constraints are not taken" in capsys.readouterr().err
    for image in ase.io.read("out/trajectory.xyz", ":"):
        np.testing.assert_allclose(image.positions[0], start.positions[0], atol=1e-7)
    stretched(FixBondLengths([[0, 1]]))
    assert simulate("again", structure="held.traj", neb=options) == 2
    assert "neb: structure has fixed distances" in capsys.readouterr().err


def test_atoms_at_the_same_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    atoms = molecule("H2O")
    atoms.positions[2] = atoms.positions[1]
    ase.io.write("same.xyz", atoms)
    assert simulate(model="toy", structure="same.xyz", single_point={}) == 2
    assert "DataError: same.xyz: the atoms 1 and 2 are at the same place" in capsys.readouterr().err
