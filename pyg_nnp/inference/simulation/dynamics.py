# mypy: allow-untyped-calls
"""Molecular dynamics that can be stopped at any step and goes on with the same bits."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from ase import Atoms, units
from ase.constraints import FixAtoms
from ase.md.langevin import Langevin
from ase.md.md import MolecularDynamics
from ase.md.velocitydistribution import Stationary, ZeroRotation
from ase.md.verlet import VelocityVerlet
from rich.console import Console

from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.extrapolation import CLOSER, FARTHER, ClosestWatch
from pyg_nnp.inference.simulation.config import Dynamics
from pyg_nnp.inference.simulation.record import Record, progress
from pyg_nnp.inference.simulation.structure import BondWatch, Guard, SimulationError
from pyg_nnp.runtime.signals import deferred

log = logging.getLogger(__name__)

ADVICE = "Take a shorter timestep, or start from a structure that is more like the training data."
LEFT = "What follows may mean nothing. Compute frames like this one anew, and train with them. Said once."
State = Mapping[str, Any]


class Run:
    """A simulation between two of its steps.

    Args:
        options: from the configuration.
        atoms: with calculator and constraints, where the simulation starts.
        state: what :meth:`state` returned, to go on from there; None to start.

    Attributes:
        step: number of steps that were taken.
    """

    def __init__(self, options: Dynamics, atoms: Atoms, state: State | None) -> None:
        self.options, self.atoms, self.step = options, atoms, 0
        self.random = np.random.default_rng(options.seed)
        self.guard = Guard(atoms)
        self.degrees_of_freedom = prepare_velocities(atoms, options, self.random)
        self.bonds = BondWatch(atoms)
        calculator: PotentialCalculator = atoms.calc
        self.closest, self.has_left = (
            ClosestWatch(calculator.potential.domain.distances_in_angstrom(calculator.units)),
            False,
        )
        if state is not None:
            self.step = state["step"]
            self.atoms.arrays["positions"][:] = state["positions"]
            self.atoms.set_momenta(np.array(state["momenta"]), apply_constraint=False)
            self.random.bit_generator.state = state["generator"]
        self.integrator = _integrator(options, atoms, self.random)

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "step": self.step,
            "positions": self.atoms.positions.tolist(),
            "momenta": self.atoms.get_momenta().tolist(),
            "generator": self.random.bit_generator.state,
        }

    def advance(self, record: Record) -> None:
        """Take a step; write a frame and a row if it is time to."""
        try:
            self.integrator.run(1)
        except DataError as error:
            raise SimulationError(f"step {self.step + 1}: {error}") from error
        self.step += 1
        self.check()
        if self.step % self.options.interval == 0:
            self.write(record)

    def check(self) -> None:
        """End what has exploded.

        Raises:
            SimulationError: it has.
        """
        self.guard.check(self.atoms, self.step, ADVICE)
        temperature, hottest = self.temperature(), self.options.hottest
        if temperature > hottest:
            raise SimulationError(
                f"step {self.step}: the temperature is {temperature:.0f} K, above max_temperature ({hottest:g} K). "
                f"{ADVICE}"
            )

    def temperature(self) -> float:
        """Return the kinetic temperature [K]."""
        kinetic: float = self.atoms.get_kinetic_energy()
        return 2 * kinetic / (units.kB * max(self.degrees_of_freedom, 1))

    def write(self, record: Record) -> None:
        """Write a frame and a row, and look at the bonds."""
        self.bonds.look(self.atoms, self.step)
        positions, numbers = torch.from_numpy(self.atoms.positions), torch.from_numpy(self.atoms.numbers)
        shortest = self.closest.look(positions, numbers, torch.tensor([len(numbers)]))
        potential, kinetic = float(self.atoms.get_potential_energy()), float(self.atoms.get_kinetic_energy())
        time = round(self.step * self.options.timestep / 1000, 9)
        if (shortest < CLOSER or shortest > FARTHER) and not self.has_left:
            self.has_left = True
            self.closest.report(LEFT, f"Step {self.step} ({time:g} ps): ")
        record.frame(self.atoms, step=self.step, time_ps=time)
        record.row(
            step=self.step,
            time_ps=time,
            potential_eV=potential,
            kinetic_eV=kinetic,
            total_eV=potential + kinetic,
            temperature_K=self.temperature(),
            shortest_vs_training=shortest,
        )


def run_dynamics(
    options: Dynamics, run: Run, record: Record, save: Callable[[dict[str, Any]], None], console: Console
) -> None:
    """Take all steps; where a signal ends it, the state after the last whole step is saved.

    Args:
        options: from the configuration.
        run: at its start, or where it goes on.
        record: what frames and rows are added to.
        save: keeps a state durably.
        console: where progress is shown.

    Raises:
        SimulationError: it has exploded; what was written stays.
    """
    with progress(console, options.ensemble, options.length, run.step) as show:
        try:
            if record.empty:
                with deferred():
                    run.check()
                    save(run.state())
                    run.write(record)
            while run.step < options.length:
                with deferred():
                    run.advance(record)
                    if run.step % options.save_interval == 0:
                        save(run.state())
                show(run.step, f"{run.temperature():.0f} K")
        except KeyboardInterrupt:
            save(run.state())
            log.info("Stopped after step %d of %d; --resume goes on.", run.step, options.length)
            raise
    save(run.state())


def prepare_velocities(atoms: Atoms, options: Dynamics, random: np.random.Generator) -> int:
    """Set the first velocities; without motion of the whole molecule, unless atoms are fixed or a thermostat moves it.

    Returns:
        The degrees of freedom that the kinetic energy is spread over.

    Raises:
        DataError: the structure has no velocities, but they are asked for.
    """
    if options.velocities == "maxwell-boltzmann":
        widths = np.sqrt(atoms.get_masses() * (units.kB * options.temperature))[:, None]
        atoms.set_momenta(random.standard_normal((len(atoms), 3)) * widths)
    elif not atoms.has("momenta"):
        raise DataError("dynamics.velocities: the structure file has none. Take maxwell-boltzmann, or another file.")
    free: int = atoms.get_number_of_degrees_of_freedom()
    if options.ensemble == "langevin" or any(isinstance(constraint, FixAtoms) for constraint in atoms.constraints):
        return free
    Stationary(atoms, preserve_temperature=False)
    # ASE divides by the moment of inertia about the axis of a linear molecule, too, and leaves that out afterwards
    with np.errstate(divide="ignore", invalid="ignore"):
        ZeroRotation(atoms, preserve_temperature=False)
    return free - 3 - _rotations(atoms)


def _rotations(atoms: Atoms) -> int:
    """Return how many axes the molecule can turn about: none for an atom, two for a linear one."""
    moments = atoms.get_moments_of_inertia()
    return int((moments > 1e-6 * moments.max()).sum())


def _integrator(options: Dynamics, atoms: Atoms, random: np.random.Generator) -> MolecularDynamics:
    timestep = options.timestep * units.fs
    if options.ensemble == "nve":
        return VelocityVerlet(atoms, timestep)
    # with fixcm the distribution would not be exactly that of the temperature
    return Langevin(
        atoms,
        timestep,
        temperature_K=options.temperature,
        friction=options.friction / units.fs,
        fixcm=False,
        rng=random,
    )
