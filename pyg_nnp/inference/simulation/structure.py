# mypy: allow-untyped-calls
"""The atoms of a simulation: structure, constraints, and whether they are still a molecule."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms, units
from ase.constraints import FixAtoms, FixBondLengths, FixCartesian
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pyg_nnp.data.formats.stated_units import understood
from pyg_nnp.data.formats.unit_texts import statements_in
from pyg_nnp.data.formats.xyz_comments import structures_in
from pyg_nnp.data.total_charge import charge_of, given_charge, name_in_training
from pyg_nnp.errors import ConfigError, DataError, UserError, did_you_mean
from pyg_nnp.functional.periodic_search import periodic_pairs
from pyg_nnp.inference.extrapolation import reads_charges
from pyg_nnp.inference.simulation.config import Constraints
from pyg_nnp.units import ASE

if TYPE_CHECKING:
    from pyg_nnp.inference.calculator import PotentialCalculator
    from pyg_nnp.potential.predictor import Predictor

log = logging.getLogger(__name__)

_SHOWN = 20  # atoms


class SimulationError(UserError):
    """A simulation that cannot go on."""


def require_structure(path: Path) -> None:
    """Raise :class:`DataError` if there is no such file."""
    if not path.is_file():
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*")])
        raise DataError(f"{path}: there is no such file, seen from '{Path.cwd()}'.{near}")


def read_structure(path: Path, charge: float | None, predictor: "Predictor") -> Atoms:
    """Read the last structure of a file: elements, positions, cell, velocities, masses, constraints.

    Their total ``charge`` [e] is that of the file, or 0, where it is None: under the name that it had in the training
    of the potential, or a usual one.

    Raises:
        DataError: there is no such file, or ASE cannot read it, or misreads its cell, or it says that it is not in Å,
            or its charge is not one number.
    """
    require_structure(path)
    try:
        structures = structures_in(path)
        found = structures[-1]
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # ASE's readers raise whatever they come upon
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: ASE cannot read a structure from it ({reason}). Give an XYZ file.") from error
    if len(structures) > 1:
        log.warning("%s: has %d structures, of which the last is taken.", path, len(structures))
    _refuse_other_units(path, found)
    atoms = Atoms(found.numbers, found.positions, info={"charge": _charge(path, found, charge, predictor)})
    if found.pbc.any():
        atoms.cell, atoms.pbc = found.cell, found.pbc
    if found.has("masses"):
        atoms.set_masses(found.get_masses())
    if found.has("momenta"):
        atoms.set_momenta(found.get_momenta())
    atoms.set_constraint(found.constraints)
    return atoms


def _refuse_other_units(path: Path, atoms: Atoms) -> None:
    """Refuse positions that are not in Å, as the file says itself."""
    stated = understood(statements_in(atoms.info), {"Ra": "positions"})
    if stated.units.or_else(ASE).length != ASE.length:
        unit = stated.units.names["length"]
        raise DataError(f"{path}: positions are in {unit}, {stated.said['length']}, but have to be in Å. Convert them.")


def _charge(path: Path, atoms: Atoms, charge: float | None, predictor: "Predictor") -> float:
    """Return the total charge of a structure from a file, or the ``charge`` that was given instead."""
    try:
        said = charge_of({**atoms.arrays, **atoms.info}, name_in_training(predictor.configuration))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if charge is None:
        if said is None and reads_charges(predictor):
            log.info("%s: no total charge is said; it is taken to be 0.", path)
        return said or 0.0
    charge = given_charge(charge)
    if said not in (None, charge):
        log.warning("%s: the total charge %g was given; the file says %g.", path, charge, said)
    return charge


@dataclass(frozen=True)
class Held:
    """What does not move, by the simulation file and by the structure file.

    Attributes:
        fixed: (A, 3) the directions in which each atom stays where it is.
        distances: pairs of atoms whose distance stays as it is.
    """

    fixed: NDArray[np.bool_]
    distances: tuple[tuple[int, int], ...]

    @property
    def atoms(self) -> set[int]:
        """All atoms that are part of a constraint."""
        return {*np.flatnonzero(self.fixed.any(axis=1)).tolist()}.union(*self.distances)


def what_is_held(path: Path, atoms: Atoms, constraints: Constraints) -> Held:
    """Return what the constraints of a simulation file and those of the atoms, as their file has them, hold.

    A warning names constraints of the file that are of a kind which is not taken.

    Raises:
        ConfigError: an atom is not there, or is fixed and part of a fixed distance.
        DataError: the file has a constraint of an atom that is not there.
    """
    check_atoms(atoms, "constraints.fixed_atoms", constraints.fixed_atoms)
    for pair in constraints.fixed_distances:
        check_atoms(atoms, "constraints.fixed_distances", pair)
    held = _held_by_file(path, atoms) if constraints.from_structure else Held(np.zeros((len(atoms), 3), dtype=bool), ())
    if held.atoms:
        first, more = sorted(held.atoms)[:_SHOWN], len(held.atoms) - _SHOWN
        log.info(
            "%s: its constraints of the atoms %s%s hold. constraints.from_structure: false leaves them out.",
            *(path, ", ".join(map(str, first)), f" and {more} more" if more > 0 else ""),
        )
    held.fixed[constraints.fixed_atoms] = True
    pairs = dict.fromkeys([*held.distances, *((min(pair), max(pair)) for pair in constraints.fixed_distances)])
    both = {atom for pair in pairs for atom in pair if held.fixed[atom].any()}
    if both:
        raise ConfigError(
            f"constraints: atom {min(both)} is fixed and part of a fixed distance, those of {path} included. It can be "
            "in one of them. constraints.from_structure: false leaves out what the file has."
        )
    return Held(held.fixed, (*pairs,))


def _held_by_file(path: Path, atoms: Atoms) -> Held:
    fixed, distances, left = np.zeros((len(atoms), 3), dtype=bool), list[tuple[int, int]](), list[str]()
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms | FixCartesian | FixBondLengths):
            left.append(type(constraint).__name__)
            continue
        if (atom := int(constraint.get_indices().max(initial=-1))) >= len(atoms):
            raise DataError(f"{path}: it has a constraint of atom {atom}, but {len(atoms)} atoms. Write it anew.")
        if isinstance(constraint, FixBondLengths):
            distances += [(min(pair), max(pair)) for pair in constraint.pairs.tolist()]
        else:
            fixed[constraint.index] |= getattr(constraint, "mask", True)
    if left:
        log.warning(
            "%s: its constraints of the kinds %s are not taken: what they hold moves. Known are FixAtoms, FixCartesian "
            "and FixBondLengths; constraints.fixed_atoms and fixed_distances hold more.",
            *(path, ", ".join(dict.fromkeys(left))),
        )
    return Held(fixed, (*distances,))


def constrain(atoms: Atoms, held: Held, more: dict[tuple[int, int], float] | None = None) -> None:
    """Replace the constraints of some atoms, whose positions have the distances that are to be kept.

    Args:
        atoms: at the start.
        held: what does not move.
        more: further pairs of atoms and their distances [Å].
    """
    distances = {(i, j): float(atoms.get_distance(i, j)) for i, j in held.distances} | (more or {})
    fixed = []
    # each set of directions, of all atoms that are fixed in these
    for directions in np.unique(held.fixed[held.fixed.any(axis=1)], axis=0):
        which = np.flatnonzero((held.fixed == directions).all(axis=1))
        fixed.append(FixAtoms(which) if directions.all() else FixCartesian(which, directions))
    # in one object: each would undo what another has done to an atom of both
    kept = [FixBondLengths([*distances], bondlengths=[*distances.values()])] if distances else []
    atoms.set_constraint([*fixed, *kept])


def check_atoms(atoms: Atoms, key: str, numbers: list[int]) -> None:
    """Raise :class:`ConfigError` at numbers of atoms that are not there."""
    for number in numbers:
        if number >= len(atoms):
            raise ConfigError(
                f"{key}: there is no atom {number}. The structure has {len(atoms)}, counted from 0 to {len(atoms) - 1}."
            )


def require_stress(atoms: Atoms, key: str) -> None:
    """Raise :class:`ConfigError` if a cell that is to change does not, or its stress is not predicted."""
    if not atoms.pbc.all():
        raise ConfigError(f"{key}: a cell changes if it is periodic in three directions. Leave it out here.")
    if "stress" not in atoms.calc.implemented_properties:
        raise ConfigError(f"{key}: this potential predicts no stress. Train one with the layer Stress.")


def pressure_of(atoms: Atoms) -> float:
    """Return the pressure without that of the moving atoms, minus a third of the trace of the stress [GPa]."""
    return float(-atoms.get_stress()[:3].mean() / units.GPa)


def allowed_gap(atoms: Atoms) -> float:
    """Return how lonely atoms may become [Å]: the reach of the potential, or twice as lonely as one is now."""
    calculator: PotentialCalculator = atoms.calc
    return max(calculator.potential.reach * calculator.length_unit, 2 * _loneliest(atoms)[1])


def check_step(atoms: Atoms, step: int, advice: str, gap: float = math.inf) -> None:
    """Refuse to go on from a simulation that has exploded.

    Raises:
        SimulationError: there is no energy that is a number, or an atom has no other within ``gap`` [Å].
    """
    try:
        atoms.get_potential_energy()
    except DataError as error:
        raise SimulationError(f"step {step}: {error}") from error
    atom, distance = _loneliest(atoms)
    if distance > gap:
        raise SimulationError(f"step {step}: atoms fly apart: none is within {gap:.1f} Å of atom {atom}. {advice}")


def _loneliest(atoms: Atoms) -> tuple[int, float]:
    """Return the atom that is farthest from its nearest neighbor, and how far that is [Å].

    In periodic cells it is infinite beyond the reach of the potential.
    """
    if atoms.pbc.any():
        calculator: PotentialCalculator = atoms.calc
        reach = calculator.potential.reach * calculator.length_unit
        (j, i), T = periodic_pairs(atoms.positions, atoms.cell.array, atoms.pbc, reach)
        distances = np.linalg.norm(atoms.positions[j] - atoms.positions[i] + T @ atoms.cell.array, axis=1)
        of_atoms = np.full(len(atoms), np.inf)
        np.minimum.at(of_atoms, np.concatenate((i, j)), np.tile(distances, 2))
        return int(of_atoms.argmax()), float(of_atoms.max())
    if len(atoms) < 2:
        return 0, 0.0
    nearest = cKDTree(atoms.positions).query(atoms.positions, k=2)[0][:, 1]
    return int(nearest.argmax()), float(nearest.max())
