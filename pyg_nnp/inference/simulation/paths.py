# mypy: allow-untyped-calls
"""Single points, optimisations, scans of a distance, and nudged elastic bands."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.mep
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE, LBFGS
from rich.console import Console

from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.inference.simulation.config import NEB, Optimization, Relaxation, Scan
from pyg_nnp.inference.simulation.record import RESULT, Record, progress
from pyg_nnp.inference.simulation.structure import (
    Held,
    allowed_gap,
    check_atoms,
    check_step,
    constrain,
    pressure_of,
    read_structure,
    require_stress,
)
from pyg_nnp.runtime.signals import deferred

log = logging.getLogger(__name__)

ADVICE = "Start from a structure that is more like the training data."
"""What to do about atoms that come too close."""
_OPTIMIZERS: dict[str, Any] = {"BFGS": BFGS, "LBFGS": LBFGS, "FIRE": FIRE}


def single_point(atoms: Atoms, record: Record) -> None:
    """Evaluate the structure once."""
    check_step(atoms, 0, ADVICE)
    energy, force = _energy(atoms), largest_force(atoms)
    record.frame(atoms)
    record.row(energy_eV=energy, largest_force_eV_per_A=force)
    log.info("Energy %.6f eV, largest force %.4f eV/Å.", energy, force)


def optimize(options: Optimization, atoms: Atoms, record: Record, console: Console) -> bool:
    """Go to a minimum, a frame and a row for each step; return whether it was reached."""
    gap, before, taken = allowed_gap(atoms), _energy(atoms), 0
    target: Any = atoms
    if options.cell:
        require_stress(atoms, "optimization.cell")
        target = FrechetCellFilter(atoms, scalar_pressure=options.pressure * units.GPa)
    with progress(console, options.optimizer, options.steps) as show:

        def on_step(step: int) -> None:
            nonlocal taken
            taken = step
            check_step(atoms, step, ADVICE, gap)
            force, energy = largest_force(atoms), _energy(atoms)
            of_cell = {"volume_A3": atoms.get_volume(), "pressure_GPa": pressure_of(atoms)} if options.cell else {}
            record.frame(atoms, step=step)
            record.row(step=step, energy_eV=energy, largest_force_eV_per_A=force, **of_cell)
            show(step, f"{energy:.4f} eV, largest force {force:.3f} eV/Å")

        converged = relax(target, options, on_step)
    record.result(atoms)
    log.info(
        "%s after %d steps: energy from %.6f to %.6f eV, largest force %.4f eV/Å. The structure is %s.",
        "Converged" if converged else "Stopped",
        *(taken, before, _energy(atoms), largest_force(atoms), record.folder / RESULT),
    )
    return converged


def scan(options: Scan, atoms: Atoms, held: Held, record: Record, console: Console) -> bool:
    """Go from distance to distance, a frame and a row for each; return whether all relaxations have converged."""
    first, second = options.atoms
    check_atoms(atoms, "scan.atoms", options.atoms)
    check_atoms(atoms, "scan.moving", options.moving)
    if taken := held.atoms & {second, *options.moving, *([first] if options.relaxed else [])}:
        raise ConfigError(f"scan: atom {taken.pop()} is part of constraints, too. It can be in one of them.")
    if first in options.moving:
        raise ConfigError(f"scan.moving: atom {first} is the first of the two atoms, which stays. Leave it out.")
    converged = True
    with progress(console, "scan", options.points) as show:
        for point, distance in enumerate(np.linspace(options.start, options.stop, options.points).tolist()):
            atoms.set_constraint()
            atoms.set_distance(first, second, distance, fix=0, indices=[second, *options.moving])
            constrain(atoms, held, {(first, second): distance} if options.relaxed else None)
            check_step(atoms, point, ADVICE)
            arrived = not options.relaxed or relax(atoms, options, lambda step: check_step(atoms, step, ADVICE))
            energy, force = _energy(atoms), largest_force(atoms)
            about = {"point": point, "distance_A": distance}
            with deferred():
                record.frame(atoms, **about)
                record.row(**about, energy_eV=energy, largest_force_eV_per_A=force, converged=int(arrived))
            converged = converged and arrived
            show(point + 1, f"{distance:.3f} Å, {energy:.4f} eV")
    return converged


def elastic_band(
    options: NEB,
    initial: Atoms,
    held: Held,
    new_calculator: Callable[[], Calculator],
    record: Record,
    console: Console,
) -> bool:
    """Find the path between two structures, a row for each step, and return whether it has converged.

    Its images, each with a calculator of its own, are written at the end, or when it is stopped.

    Raises:
        DataError: the other end has other atoms.
    """
    final = read_structure(Path(options.final), initial.info["charge"], initial.calc.potential)
    if not np.array_equal(final.numbers, initial.numbers):
        raise DataError(f"neb.final: {options.final} has other atoms than structure, or in another order.")
    if held.distances:
        raise ConfigError(
            "neb: structure has fixed distances, but a path has other distances. constraints.from_structure: false "
            "leaves out its constraints; fixed_atoms fixes atoms."
        )
    if final.constraints:
        log.info("%s: its constraints are not taken: those of the other end hold for the whole path.", options.final)
    images = [*(initial.copy() for _ in range(options.images + 1)), final]
    for image in images:
        image.calc = new_calculator()
        constrain(image, held)
        check_step(image, 0, ADVICE)
    for end in (images[0], images[-1]):
        if (force := largest_force(end)) > options.fmax:
            log.warning("An end of the path is no minimum: its largest force is %.3f eV/Å. Optimise it first.", force)
    how = {"method": "improvedtangent", "remove_rotation_and_translation": not initial.constraints}
    band = ase.mep.NEB(images, k=options.spring_constant, climb=options.climb, **how)
    band.interpolate(method=options.interpolation, apply_constraint=False)
    try:
        converged = _relax_band(band, options, record, console)
    finally:
        for number, image in enumerate(images):
            record.frame(image, image=number)
    log.info("Barrier %.4f eV, energy of reaction %.4f eV.", *_barrier_and_reaction(images))
    return converged


def _relax_band(band: ase.mep.NEB, options: NEB, record: Record, console: Console) -> bool:
    with progress(console, "NEB", options.steps) as show:

        def on_step(step: int) -> None:
            for image in band.images:
                check_step(image, step, ADVICE)
            # over all images; ASE's residual leaves the climbing image out
            force = float(np.linalg.norm(band.get_forces(), axis=1).max())
            barrier, reaction = _barrier_and_reaction(band.images)
            record.row(step=step, barrier_eV=barrier, reaction_eV=reaction, largest_force_eV_per_A=force)
            show(step, f"barrier {barrier:.4f} eV, largest force {force:.3f} eV/Å")

        return relax(band, options, on_step)


def relax(target: Any, options: Relaxation, on_step: Callable[[int], None]) -> bool:
    """Let an optimiser run, and return whether it has converged; no signal cuts ``on_step`` in two."""
    optimizer, converged = _OPTIMIZERS[options.optimizer](target, logfile=None), False
    for arrived in optimizer.irun(fmax=options.fmax, steps=options.steps):
        converged = bool(arrived)
        with deferred():
            on_step(optimizer.nsteps)
    return converged


def _barrier_and_reaction(images: list[Atoms]) -> tuple[float, float]:
    energies = [_energy(image) for image in images]
    return max(energies) - energies[0], energies[-1] - energies[0]


def _energy(atoms: Atoms) -> float:
    return float(atoms.get_potential_energy())


def largest_force(atoms: Atoms) -> float:
    """Return the length of the largest force on an atom [eV/Å]."""
    return float(np.linalg.norm(atoms.get_forces(), axis=1).max())
