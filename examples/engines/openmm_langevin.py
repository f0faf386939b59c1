"""Langevin dynamics of alanine dipeptide in OpenMM: python openmm_langevin.py FF01-Cartesian."""

import argparse
from pathlib import Path

import ase.io
from ase import units
from openmm import LangevinMiddleIntegrator, app, unit
from openmmml import MLPotential

from pyg_nnp import PotentialCalculator

STRUCTURE = Path(__file__).parents[1] / "alanine_dipeptide" / "alanine_dipeptide.xyz"
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model")
parser.add_argument("--ps", type=float, default=10.0)
arguments = parser.parse_args()

atoms = ase.io.read(STRUCTURE)
topology = app.Topology()
residue = topology.addResidue("ALA", topology.addChain())
for symbol in atoms.symbols:
    topology.addAtom(symbol, app.Element.getBySymbol(symbol), residue)

calculator = PotentialCalculator(arguments.model)
system = MLPotential("ase").createSystem(topology, calculator=calculator, info={"charge": 0})
integrator = LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 0.5 * unit.femtosecond)
simulation = app.Simulation(topology, system, integrator)
simulation.context.setPositions(atoms.positions * unit.angstrom)

energy = simulation.context.getState(energy=True).getPotentialEnergy()
print(f"OpenMM {energy.value_in_unit(unit.kilojoule_per_mole):.6f} kJ/mol")
atoms.calc = calculator
print(f"ASE    {atoms.get_potential_energy() / (units.kJ / units.mol):.6f} kJ/mol")
steps = round(arguments.ps / 0.0005)
simulation.reporters.append(app.StateDataReporter("openmm.csv", max(steps // 1000, 1), time=True, temperature=True))
simulation.step(steps)
