"""Data sets of strained crystals with energies, forces and stress, in which mistakes are planted."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import voigt_6_to_full_3x3_stress

from pyg_nnp.commands import cli

FRAMES = 40
Change = Callable[[Atoms], np.ndarray]


def _sets() -> dict[str, tuple[Atoms, Callable[[], Calculator]]]:
    return {
        "copper": (bulk("Cu", cubic=True) * (2, 2, 1), EMT),
        "Lennard-Jones": (
            bulk("Co", "hcp", a=2.5, c=4.1) * (2, 2, 1),
            lambda: LennardJones(sigma=2.27, epsilon=0.4, rc=6.0),
        ),
        "alloy": (bulk("AlNi", "cesiumchloride", a=2.9) * (2, 2, 2), EMT),
    }


NAMES = tuple(_sets())


@cache
def strained_crystals(name: str) -> list[Atoms]:
    """Return frames of a crystal with random strains, of either hand of rotation, and atoms off their sites."""
    rng, found = np.random.default_rng(0), []
    crystal, calculator = _sets()[name]
    for _ in range(FRAMES):
        atoms = crystal.copy()
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(scale=0.03, size=(3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.06, size=atoms.positions.shape)
        atoms.calc = calculator()
        results = {quantity: atoms.calc.get_property(quantity, atoms) for quantity in ("energy", "forces", "stress")}
        atoms.calc = SinglePointCalculator(atoms, **results)
        found.append(atoms)
    return found


def stress(atoms: Atoms) -> np.ndarray:
    return voigt_6_to_full_3x3_stress(atoms.get_stress())


def cell(atoms: Atoms) -> np.ndarray:
    return atoms.cell.array


def said(
    frames: list[Atoms],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    of_stress: Change = stress,
    of_cell: Change = cell,
    of_forces: Change = Atoms.get_forces,
    energy: float = 1.0,
    name: str = "stress_dft",
) -> str:
    """Write a file and what init makes of it, and return what check says."""
    written = []
    for frame in frames:
        atoms = Atoms(frame.numbers, frame.positions, cell=of_cell(frame), pbc=frame.pbc)
        atoms.info = {"energy_dft": energy * frame.get_potential_energy(), name: of_stress(frame).ravel()}
        atoms.arrays["forces_dft"] = of_forces(frame)
        written.append(atoms)
    ase.io.write(folder / "data.xyz", written, format="extxyz")
    maps = [f"--map={field}" for field in ("E=energy_dft", "Fa=forces_dft", f"S={name}")]
    assert cli.main(["init", str(folder / "data.xyz"), "-o", str(folder / "train.yaml"), *maps]) == 0
    capsys.readouterr()
    cli.main(["check", str(folder / "train.yaml"), "-o", str(folder / "out")])
    return capsys.readouterr().err


def warnings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("WARNING")]
