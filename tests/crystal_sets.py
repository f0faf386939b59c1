"""Data sets of strained crystals with energies, forces and stress, in which mistakes are planted."""

from collections.abc import Callable
from functools import cache

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator

FRAMES = 40


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
