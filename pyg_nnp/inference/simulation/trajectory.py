# mypy: allow-untyped-calls
"""Molecular dynamics step by step, and whether bonds form or break in them."""

import logging
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase import Atoms, units
from ase.constraints import FixAtoms, FixCartesian
from ase.md.langevin import Langevin
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.md import MolecularDynamics
from ase.md.velocitydistribution import Stationary, ZeroRotation
from ase.md.verlet import VelocityVerlet

from pyg_nnp.errors import DataError
from pyg_nnp.functional.bonds import NONMETALS, bonds
from pyg_nnp.inference.extrapolation import CLOSER, FARTHER, ShortestDistances
from pyg_nnp.inference.simulation.config import Dynamics
from pyg_nnp.inference.simulation.record import Record
from pyg_nnp.inference.simulation.structure import SimulationError, allowed_gap, check_step, pressure_of, require_stress

if TYPE_CHECKING:
    from pyg_nnp.inference.calculator import PotentialCalculator

log = logging.getLogger(__name__)

_ADVICE = "Take a shorter timestep, or start from a structure that is more like the training data."
_OUTSIDE = "What follows may mean nothing. Compute frames like this one anew, and train with them. Said once."
# times the sum of covalent radii; between the two a bond that vibrates neither forms nor breaks
_BONDED, _APART = 1.25, 1.6


class Trajectory:
    """Molecular dynamics at one of its steps.

    It can be stopped at any of them, and goes on from what :meth:`state` returned with the same bits.
    """

    def __init__(self, options: Dynamics, atoms: Atoms, state: Mapping[str, Any] | None) -> None:
        self.options, self.atoms, self.step = options, atoms, 0
        self.random = np.random.default_rng(options.seed)
        self.gap = allowed_gap(atoms)
        self.degrees_of_freedom = _prepare_velocities(atoms, options, self.random)
        self.bonds = BondMonitor(atoms)
        calculator: PotentialCalculator = atoms.calc
        self.distances = ShortestDistances(calculator.potential.domain.distances_in_angstrom(calculator.units))
        self.is_outside = False
        if state is not None:
            self.step = state["step"]
            self.atoms.arrays["positions"][:] = state["positions"]
            if "cell" in state:
                self.atoms.set_cell(state["cell"])
            self.atoms.set_momenta(np.array(state["momenta"]), apply_constraint=False)
            self.random.bit_generator.state = state["generator"]
        self.integrator: Any = _integrator(options, atoms, self.random)
        if state is not None and isinstance(self.integrator, LangevinBAOAB):
            vars(self.integrator).update({name: np.array(value) for name, value in state["barostat"].items()})

    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "step": self.step,
            "positions": self.atoms.positions.tolist(),
            "momenta": self.atoms.get_momenta().tolist(),
            **({"cell": self.atoms.cell.tolist()} if self.atoms.pbc.any() else {}),
            **({"barostat": self._barostat()} if self.options.ensemble == "npt" else {}),
            "generator": self.random.bit_generator.state,
        }

    def _barostat(self) -> dict[str, Any]:
        """Return momentum and force of the cell, which ASE keeps from one step to the next."""
        return {name: np.array(vars(self.integrator)[name]).tolist() for name in ("p_eps", "force_eps")}

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
        """Raise :class:`SimulationError` if it has exploded."""
        check_step(self.atoms, self.step, _ADVICE, self.gap)
        temperature, hottest = self.temperature(), self.options.hottest
        if temperature > hottest:
            raise SimulationError(
                f"step {self.step}: the temperature is {temperature:.0f} K, above max_temperature ({hottest:g} K). "
                f"{_ADVICE}"
            )

    def temperature(self) -> float:
        """Return the kinetic temperature [K]."""
        kinetic: float = self.atoms.get_kinetic_energy()
        return 2 * kinetic / (units.kB * max(self.degrees_of_freedom, 1))

    def write(self, record: Record) -> None:
        """Write a frame and a row; check bonds and distances."""
        self.bonds.check(self.atoms, self.step)
        positions, numbers = torch.from_numpy(self.atoms.positions), torch.from_numpy(self.atoms.numbers)
        of_cells = (torch.from_numpy(self.atoms.cell.array)[None], torch.from_numpy(self.atoms.pbc.astype(int))[None])
        cells = of_cells if self.atoms.pbc.any() else ()
        shortest = self.distances.add(positions, numbers, torch.tensor([len(numbers)]), *cells)
        potential, kinetic = float(self.atoms.get_potential_energy()), float(self.atoms.get_kinetic_energy())
        time = round(self.step * self.options.timestep / 1000, 9)
        if (shortest < CLOSER or shortest > FARTHER) and not self.is_outside:
            self.is_outside = True
            self.distances.report(_OUTSIDE, f"Step {self.step} ({time:g} ps): ")
        about = {"step": self.step, "time_ps": time}
        energies = {"potential_eV": potential, "kinetic_eV": kinetic, "total_eV": potential + kinetic}
        record.frame(self.atoms, **about)
        of_cell = {}
        if self.atoms.pbc.all() and "stress" in self.atoms.calc.implemented_properties:
            # that of the moving atoms included
            kinetic_pressure = 2 * kinetic / (3 * self.atoms.get_volume() * units.GPa)
            of_cell = {"volume_A3": self.atoms.get_volume(), "pressure_GPa": pressure_of(self.atoms) + kinetic_pressure}
        record.row(**about, **energies, temperature_K=self.temperature(), shortest_vs_training=shortest, **of_cell)


class BondMonitor:
    """Warns, once, of a bond that was not there at the start, or is there no more.

    Few potentials describe reactions, and others give no sign of it. In molecules at least one atom of a bond is no
    metal, in periodic systems neither is: in metals, salts and on surfaces neighbors change as atoms move.

    Attributes:
        watches: whether there are atoms that may be bonded so.
        warned: whether it has warned.
    """

    def __init__(self, atoms: Atoms) -> None:
        self._is_nonmetal, self._fewest = np.isin(atoms.numbers, sorted(NONMETALS)), 2 if atoms.pbc.any() else 1
        self.watches, self.warned = bool(self._is_nonmetal.sum() >= self._fewest), False
        self.at_first = self._bonded(atoms, _BONDED)

    def check(self, atoms: Atoms, step: int) -> None:
        """Compare the bonds with those at the start."""
        if self.warned or not self.watches:
            return
        formed = self._bonded(atoms, _BONDED) - self.at_first
        broken = self.at_first - self._bonded(atoms, _APART)
        if not (formed or broken):
            return
        self.warned = True
        i, j = min(formed or broken)
        which = f"atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]})"
        how = "as near as if bonded, which they were not" if formed else "too far apart to be bonded, which they were"
        log.warning(
            "Step %d: %s are %.2f Å apart, %s at the start. Unless the training data has such structures, what follows "
            "means nothing. Said once.",
            *(step, which, atoms.get_distance(i, j, mic=bool(atoms.pbc.any())), how),
        )

    def _bonded(self, atoms: Atoms, factor: float) -> set[tuple[int, int]]:
        found = bonds(atoms.positions, atoms.numbers, factor, (atoms.cell.array, atoms.pbc))  # (B, 2)
        found = found[self._is_nonmetal[found].sum(axis=1) >= self._fewest]
        return {(int(i), int(j)) for j, i in found if i != j}


def _prepare_velocities(atoms: Atoms, options: Dynamics, random: np.random.Generator) -> int:
    """Set the first velocities, and return the degrees of freedom that the kinetic energy is spread over.

    The whole molecule does not move, unless atoms are fixed or a thermostat moves it.
    """
    if options.velocities == "maxwell-boltzmann":
        widths = np.sqrt(atoms.get_masses() * (units.kB * options.temperature))[:, None]
        atoms.set_momenta(random.standard_normal((len(atoms), 3)) * widths)
    elif not atoms.has("momenta"):
        raise DataError("dynamics.velocities: the structure file has none. Take maxwell-boltzmann, or another file.")
    free: int = atoms.get_number_of_degrees_of_freedom()
    is_held = any(isinstance(constraint, FixAtoms | FixCartesian) for constraint in atoms.constraints)
    if options.ensemble in ("langevin", "npt") or is_held:
        return free
    Stationary(atoms, preserve_temperature=False)
    if atoms.pbc.any():  # where images do not turn with the atoms
        return free - 3
    # ASE divides by the moment of inertia about the axis of a linear molecule, too, and leaves that out afterwards
    with np.errstate(divide="ignore", invalid="ignore"):
        ZeroRotation(atoms, preserve_temperature=False)
    # an atom can turn about no axis, a linear molecule about two
    moments = atoms.get_moments_of_inertia()
    return free - 3 - int((moments > 1e-6 * moments.max()).sum())


def _integrator(options: Dynamics, atoms: Atoms, random: np.random.Generator) -> MolecularDynamics:
    timestep, friction = options.timestep * units.fs, options.friction / units.fs
    if options.ensemble == "nve":
        return VelocityVerlet(atoms, timestep)
    if options.ensemble == "npt":
        require_stress(atoms, "dynamics.ensemble")
        times = {"T_tau": 1 / friction, "P_tau": options.barostat_time * units.fs}
        stress = {"externalstress": -options.pressure * units.GPa, "hydrostatic": options.hydrostatic}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ASE says which mass the barostat has
            return LangevinBAOAB(atoms, timestep, temperature_K=options.temperature, rng=random, **times, **stress)
    # with fixcm the distribution would not be exactly that of the temperature
    return Langevin(atoms, timestep, temperature_K=options.temperature, friction=friction, fixcm=False, rng=random)
