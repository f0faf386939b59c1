"""Make a data set of copper by ASE's EMT: energies, forces and stress of strained, rattled cells and a surface.

python make_data.py [OUT]
"""

import sys
from collections.abc import Iterator

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator


def structures(random: np.random.Generator, number: int) -> Iterator[Atoms]:
    """Yield cells of 4 to 12 atoms, strained by some percent, atoms some tenths of an Å off their sites."""
    perfect = [bulk("Cu", cubic=True), bulk("Cu") * (2, 2, 2), fcc111("Cu", (1, 2, 4), vacuum=6.0)]
    for frame in range(number):
        atoms = perfect[frame % 3].copy()
        atoms.info.clear()
        strain = np.eye(3) + random.normal(scale=0.02, size=(3, 3))
        atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        atoms.positions += random.normal(scale=random.uniform(0.02, 0.15), size=(len(atoms), 3))
        yield atoms


def main(out: str = "copper.xyz", number: int = 240) -> None:
    """Write all structures with their energies [eV], forces [eV/Å] and, of the bulk, stress [eV/Å³]."""
    labelled = []
    for atoms in structures(np.random.default_rng(0), number):
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        if atoms.pbc.all():
            results["stress"] = atoms.get_stress()
        frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        frame.calc = SinglePointCalculator(frame, **results)
        labelled.append(frame)
    ase.io.write(out, labelled, format="extxyz")
    ase.io.write("bulk.xyz", bulk("Cu", a=3.7) * (2, 2, 2), format="extxyz")
    ase.io.write("larger.xyz", bulk("Cu", a=3.6, cubic=True) * (2, 2, 2), format="extxyz")


if __name__ == "__main__":
    main(*sys.argv[1:])
