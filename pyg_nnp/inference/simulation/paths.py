# mypy: allow-untyped-calls
"""Single points, optimisations and scans of a distance."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.optimize import BFGS, FIRE, LBFGS
from rich.console import Console

from pyg_nnp.errors import ConfigError
from pyg_nnp.inference.simulation.config import Constraints, Relaxation, Scan
from pyg_nnp.inference.simulation.record import RESULT, Record, progress
from pyg_nnp.inference.simulation.structure import (
    ExplosionMonitor,
    check_atoms,
    check_finite,
    constrain,
    largest_force,
)
from pyg_nnp.runtime.signals import deferred

log = logging.getLogger(__name__)

ADVICE = "Start from a structure that is more like the training data."
_OPTIMIZERS: dict[str, Any] = {"BFGS": BFGS, "LBFGS": LBFGS, "FIRE": FIRE}


def single_point(atoms: Atoms, record: Record) -> None:
    """Evaluate the structure once."""
    check_finite(atoms, 0, ADVICE)
    record.frame(atoms)
    record.row(energy_eV=float(atoms.get_potential_energy()), largest_force_eV_per_A=largest_force(atoms))
    log.info("Energy %.6f eV, largest force %.4f eV/Å.", atoms.get_potential_energy(), largest_force(atoms))


def relax(target: Any, options: Relaxation, on_step: Callable[[int], None]) -> bool:
    """Let an optimiser run, and return whether it has converged.

    Args:
        target: what ASE's optimisers take: atoms, or a band.
        options: from the configuration.
        on_step: is called with the number of steps at the start and after each of them; no signal cuts it in two.
    """
    optimizer, converged = _OPTIMIZERS[options.optimizer](target, logfile=None), False
    for arrived in optimizer.irun(fmax=options.fmax, steps=options.steps):
        converged = bool(arrived)
        with deferred():
            on_step(optimizer.nsteps)
    return converged


def optimize(options: Relaxation, atoms: Atoms, record: Record, console: Console) -> bool:
    """Go to a minimum, a frame and a row for each step; return whether it was reached."""
    monitor, before, taken = ExplosionMonitor(atoms), float(atoms.get_potential_energy()), 0
    with progress(console, options.optimizer, options.steps) as show:

        def on_step(step: int) -> None:
            nonlocal taken
            taken = step
            monitor.check(atoms, step, ADVICE)
            force, energy = largest_force(atoms), float(atoms.get_potential_energy())
            record.frame(atoms, step=step)
            record.row(step=step, energy_eV=energy, largest_force_eV_per_A=force)
            show(step, f"{energy:.4f} eV, largest force {force:.3f} eV/Å")

        converged = relax(atoms, options, on_step)
    record.result(atoms)
    log.info(
        "%s after %d steps: energy from %.6f to %.6f eV, largest force %.4f eV/Å. The structure is %s.",
        "Converged" if converged else "Stopped",
        taken,
        before,
        atoms.get_potential_energy(),
        largest_force(atoms),
        record.folder / RESULT,
    )
    return converged


def scan(options: Scan, atoms: Atoms, constraints: Constraints, record: Record, console: Console) -> bool:
    """Go from distance to distance, a frame and a row for each; return whether all relaxations have converged."""
    first, second = options.atoms
    check_atoms(atoms, "scan.atoms", options.atoms)
    check_atoms(atoms, "scan.moving", options.moving)
    held = {*constraints.fixed_atoms}.union(*constraints.fixed_distances)
    if taken := held & {second, *options.moving, *([first] if options.relaxed else [])}:
        raise ConfigError(f"scan: atom {taken.pop()} is part of constraints, too. It can be in one of them.")
    if first in options.moving:
        raise ConfigError(f"scan.moving: atom {first} is the first of the two atoms, which stays. Leave it out.")
    converged = True
    with progress(console, "scan", options.points) as show:
        for point, distance in enumerate(np.linspace(options.start, options.stop, options.points).tolist()):
            atoms.set_constraint()
            atoms.set_distance(first, second, distance, fix=0, indices=[second, *options.moving])
            constrain(atoms, constraints, {(first, second): distance} if options.relaxed else None)
            check_finite(atoms, point, ADVICE)
            arrived = not options.relaxed or relax(atoms, options, lambda step: check_finite(atoms, step, ADVICE))
            energy, force = float(atoms.get_potential_energy()), largest_force(atoms)
            with deferred():
                record.frame(atoms, point=point, distance_A=distance)
                record.row(
                    point=point,
                    distance_A=distance,
                    energy_eV=energy,
                    largest_force_eV_per_A=force,
                    converged=int(arrived),
                )
            converged = converged and arrived
            show(point + 1, f"{distance:.3f} Å, {energy:.4f} eV")
    return converged
