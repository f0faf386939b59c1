# mypy: allow-untyped-calls
"""Equation of state and phonons of crystals."""

import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.eos import EquationOfState as Fit
from ase.phonons import Phonons as DisplacedAtoms
from rich.console import Console

from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.inference.simulation.config import EquationOfState, Phonons
from pyg_nnp.inference.simulation.paths import ADVICE, largest_force, relax
from pyg_nnp.inference.simulation.record import Record, progress
from pyg_nnp.inference.simulation.structure import check_step
from pyg_nnp.runtime.files import write_durably
from pyg_nnp.runtime.signals import deferred
from pyg_nnp.units import HARTREE_IN_EV, HARTREE_IN_WAVENUMBERS

log = logging.getLogger(__name__)

STATE = "equation_of_state.json"
_MINIMUM = 0.05  # largest force [eV/Å] of a structure whose vibrations mean something
_IMAGINARY = 1.0  # 1/cm; the three that are 0 at Gamma come out as less
_WAVENUMBERS = HARTREE_IN_WAVENUMBERS / HARTREE_IN_EV


def equation_of_state(options: EquationOfState, atoms: Atoms, record: Record, console: Console) -> bool:
    """Go through volumes, a frame and a row for each, and fit their energies; return whether all have converged.

    Raises:
        ConfigError: the structure is not periodic in three directions.
        DataError: energies have no minimum between the volumes.
    """
    _require_crystal(atoms, "equation_of_state")
    cell, volume, volumes, energies, converged = atoms.cell.copy(), atoms.get_volume(), [], [], True
    with progress(console, "volumes", options.points) as show:
        for point, change in enumerate(np.linspace(-options.range, options.range, options.points).tolist()):
            atoms.set_cell(cell * (1 + change) ** (1 / 3), scale_atoms=True)
            check_step(atoms, point, ADVICE)
            arrived = not options.relaxed or relax(atoms, options, lambda step: check_step(atoms, step, ADVICE))
            volumes.append(volume * (1 + change))
            energies.append(float(atoms.get_potential_energy()))
            about = {"point": point, "volume_A3": volumes[-1]}
            with deferred():
                record.frame(atoms, **about)
                record.row(
                    **about,
                    energy_eV=energies[-1],
                    largest_force_eV_per_A=largest_force(atoms),
                    converged=int(arrived),
                )
            converged = converged and arrived
            show(point + 1, f"{volumes[-1]:.2f} Å³, {energies[-1]:.4f} eV")
    found = _fitted(options, volumes, energies)
    write_durably(record.folder / STATE, [json.dumps(found, indent=1).encode()])
    log.info("Volume %.4f Å³, energy %.6f eV, bulk modulus %.2f GPa, in %s.", *found.values(), record.folder / STATE)
    return converged


def _fitted(options: EquationOfState, volumes: list[float], energies: list[float]) -> dict[str, float]:
    instead = "Relax the structure first (optimization, with cell: true), or take a larger range."
    if not 0 < int(np.argmin(energies)) < len(energies) - 1:
        end = volumes[int(np.argmin(energies))]
        raise DataError(f"equation_of_state: the energy is lowest at an end, {end:.3f} Å³. {instead}")
    try:
        V0, E0, B = Fit(volumes, energies, eos=options.equation).fit(warn=False)
    except (RuntimeError, ValueError) as error:
        raise DataError(f"equation_of_state: energies do not follow {options.equation} ({error}). {instead}") from error
    return {"volume_A3": float(V0), "energy_eV": float(E0), "bulk_modulus_GPa": float(B / units.GPa)}


def phonons(options: Phonons, atoms: Atoms, record: Record, console: Console) -> bool:
    """Find frequencies along a path of wave vectors from forces on displaced atoms of a supercell.

    Raises:
        ConfigError: the structure is not periodic in three directions, has constraints, or the path names points that
            its lattice does not have.
    """
    _require_crystal(atoms, "phonons")
    if atoms.constraints:
        raise ConfigError("phonons: atoms do not move where constraints hold. Take them out.")
    try:
        path: Any = atoms.cell.bandpath(options.path, npoints=options.points, pbc=atoms.pbc)
    except (KeyError, ValueError, RuntimeError) as error:
        points = ", ".join(atoms.cell.bandpath().special_points)
        raise ConfigError(f"phonons.path: '{options.path}' is none in this lattice. It has: {points}.") from error
    if (force := largest_force(atoms)) > _MINIMUM:
        log.warning("The structure is no minimum: its largest force is %.3f eV/Å. Optimise it first.", force)
    _warn_of_narrow(options.supercell, atoms)
    check_step(atoms, 0, ADVICE)
    record.frame(atoms)
    with TemporaryDirectory() as folder, progress(console, "phonons", 1) as show:
        show(0, f"{6 * len(atoms)} displacements in {np.prod(options.supercell) * len(atoms)} atoms")
        method = {"supercell": tuple(options.supercell), "delta": options.displacement, "name": Path(folder) / "moved"}
        displaced = DisplacedAtoms(atoms, atoms.calc, **method)
        displaced.run()
        displaced.read(acoustic=True)
        frequencies = displaced.band_structure(path.kpts, verbose=False) * _WAVENUMBERS  # (Q, 3 N)
    distances, _, _ = path.get_linear_kpoint_axis()
    for q, distance, of_q in zip(path.kpts, distances, frequencies, strict=True):
        modes = {f"mode_{number}_per_cm": float(value) for number, value in enumerate(np.sort(of_q))}
        record.row(distance_per_A=float(distance), **dict(zip(("q1", "q2", "q3"), q.tolist(), strict=True)), **modes)
    imaginary = int((frequencies < -_IMAGINARY).sum())
    if imaginary:
        log.warning(
            "%d of %d frequencies are imaginary, written as negative: the crystal is not stable in this cell, or the "
            "supercell too small.",
            *(imaginary, frequencies.size),
        )
    log.info("Frequencies from %.2f to %.2f 1/cm along %s.", frequencies.min(), frequencies.max(), path.path)
    return True


def _warn_of_narrow(supercell: list[int], atoms: Atoms) -> None:
    """Warn of a supercell in which an atom that moves is felt from two sides."""
    needed = 2 * atoms.calc.potential.reach * atoms.calc.length_unit
    widths = 1 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)  # of one cell between its faces
    if np.isfinite(needed) and (widths * supercell < needed).any():
        log.warning(
            "phonons.supercell: %s is %.1f Å wide, less than twice the %.1f Å that the potential reaches: frequencies "
            "may be wrong but where a wave fits into it. Take at least %s.",
            *(supercell, (widths * supercell).min(), needed / 2, np.ceil(needed / widths).astype(int).tolist()),
        )


def _require_crystal(atoms: Atoms, what: str) -> None:
    if not atoms.pbc.all():
        raise ConfigError(f"{what}: needs a crystal, a structure that is periodic in three directions.")
