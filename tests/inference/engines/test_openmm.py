"""OpenMM-ML takes ASE's calculator: for a whole system, for a part of one, and in a cell."""

import numpy as np
import pytest
from ase import Atoms, units
from engine_systems import of_crystals, of_molecules, some_of_both

from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.potential.description import TrainingDomain

openmm = pytest.importorskip("openmm")
openmmml = pytest.importorskip("openmmml")
from openmm import app, unit  # noqa: E402

KJ = units.kJ / units.mol


def topology_of(atoms: Atoms) -> "app.Topology":
    topology = app.Topology()
    residue = topology.addResidue("ALL", topology.addChain())
    for symbol in atoms.symbols:
        topology.addAtom(symbol, app.Element.getBySymbol(symbol), residue)
    if atoms.pbc.any():
        topology.setPeriodicBoxVectors(atoms.cell.array * unit.angstrom)
    return topology


def simulation_of(system: "openmm.System", atoms: Atoms) -> "app.Simulation":
    integrator = openmm.VerletIntegrator(0.02 * unit.femtosecond)
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(topology_of(atoms), system, integrator, platform)
    simulation.context.setPositions(atoms.positions * unit.angstrom)
    return simulation


def results_of(simulation: "app.Simulation") -> tuple[float, np.ndarray]:
    state = simulation.context.getState(energy=True, forces=True)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.angstrom)
    return state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) * KJ, forces * KJ


@pytest.mark.parametrize("charge", [0.0, 1.0])
def test_results_are_those_of_the_calculator(charge: float) -> None:
    for atoms in [one for kind in some_of_both() for one in kind]:
        if atoms.pbc.any():
            # larger cells, and lattice vectors as OpenMM has them
            atoms = atoms.repeat(2)
            atoms.set_cell(np.diag([12.0, 13.0, 14.0]) + np.tril(np.full((3, 3), 1.5), -1))
        calculator = PotentialCalculator(of_crystals() if atoms.pbc.any() else of_molecules())
        potential = openmmml.MLPotential("ase")
        system = potential.createSystem(topology_of(atoms), calculator=calculator, info={"charge": charge})
        energy, forces = results_of(simulation_of(system, atoms))
        atoms.info["charge"] = charge
        atoms.calc = calculator
        np.testing.assert_allclose(energy, atoms.get_potential_energy(), rtol=1e-9)
        np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-9)


def test_part_of_a_system() -> None:
    one, other = some_of_both()[0][:2]
    other.positions += [4.0, 0, 0]
    atoms = one + other
    # charges alone stand for a force field
    system = openmm.System()
    charges = openmm.NonbondedForce()
    for number, mass in enumerate(atoms.get_masses()):
        system.addParticle(mass)
        charges.addParticle(0.1 * (-1) ** number, 0.1, 0.0)
    system.addForce(charges)
    calculator, part = PotentialCalculator(of_molecules()), range(len(one))
    mixed = openmmml.MLPotential("ase").createMixedSystem(topology_of(atoms), system, part, calculator=calculator)
    energy, forces = results_of(simulation_of(mixed, atoms))
    one.calc = calculator
    # the force field within the part is taken out
    rest = results_of(simulation_of(without_part(system, part), atoms))
    np.testing.assert_allclose(energy, one.get_potential_energy() + rest[0], rtol=1e-9)
    expected = rest[1]
    expected[: len(one)] += one.get_forces()
    np.testing.assert_allclose(forces, expected, atol=1e-9)


def test_molecule_in_a_box_of_solvent() -> None:
    """Of which its potential, for molecules alone, knows nothing."""
    one, argon = some_of_both()[0][3], Atoms("Ar", [[5.0, 5.0, 5.0]])
    atoms = one + argon
    atoms.set_cell([20.0, 20.0, 20.0])
    atoms.pbc = True
    system, forces = openmm.System(), openmm.NonbondedForce()
    system.setDefaultPeriodicBoxVectors(*(atoms.cell.array * unit.angstrom))
    forces.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    forces.setCutoffDistance(0.9)
    for mass in atoms.get_masses():
        system.addParticle(mass)
        forces.addParticle(0.0, 0.1, 0.0)
    system.addForce(forces)
    calculator = PotentialCalculator(of_molecules())
    alone = Atoms(one.numbers, calculator=calculator)
    mixed = openmmml.MLPotential("ase").createMixedSystem(
        topology_of(atoms), system, range(len(one)), aseAtoms=alone, mlLongRange=False
    )
    energy, found = results_of(simulation_of(mixed, atoms))
    one.calc = calculator
    np.testing.assert_allclose(energy, one.get_potential_energy(), rtol=1e-9)
    np.testing.assert_allclose(found, [*one.get_forces(), [0, 0, 0]], atol=1e-9)


def without_part(system: "openmm.System", part: range) -> "openmm.System":
    """Return a copy of a system whose charges do not act within a part."""
    copy = openmm.XmlSerializer.clone(system)
    for i in part:
        for j in part[:i]:
            copy.getForce(0).addException(i, j, 0.0, 1.0, 0.0)
    return copy


def test_a_run_and_what_is_refused() -> None:
    atoms = some_of_both()[0][0]
    system = openmmml.MLPotential("ase").createSystem(
        topology_of(atoms), calculator=PotentialCalculator(of_molecules(), dtype="float64")
    )
    simulation = simulation_of(system, atoms)
    energies = []
    for _ in range(2):
        state = simulation.context.getState(energy=True)
        energies.append((state.getPotentialEnergy() + state.getKineticEnergy()).value_in_unit(unit.kilojoule_per_mole))
        simulation.step(5)
    assert energies[1] == pytest.approx(energies[0], rel=1e-6)
    atoms.positions[1] = atoms.positions[2]
    simulation.context.setPositions(atoms.positions * unit.angstrom)
    with pytest.raises(openmm.OpenMMException, match=r"^the atoms 1 and 2 are at the same place"):
        simulation.step(1)


def test_an_unknown_element_and_a_cell_without_use() -> None:
    water, crystal = some_of_both()[0][0], some_of_both()[1][0].repeat(2)
    crystal.set_cell([12.0, 13.0, 14.0])
    potential = of_molecules()
    potential.domain = TrainingDomain(elements=(1, 6, 14))
    for atoms, expected in ((water, "^this potential was not trained on O"), (crystal, "^the cell is periodic, but")):
        system = openmmml.MLPotential("ase").createSystem(topology_of(atoms), calculator=PotentialCalculator(potential))
        with pytest.raises(openmm.OpenMMException, match=expected):
            results_of(simulation_of(system, atoms))
