# mypy: allow-untyped-calls
"""Nudged elastic bands: the path between two minima."""

import logging
from pathlib import Path

import ase.mep
import numpy as np
from ase import Atoms
from rich.console import Console

from pyg_nnp.errors import DataError
from pyg_nnp.inference.simulation.config import NEB, Simulation
from pyg_nnp.inference.simulation.paths import ADVICE, relax
from pyg_nnp.inference.simulation.record import Record, progress
from pyg_nnp.inference.simulation.structure import (
    calculator_of,
    check_finite,
    constrain,
    largest_force,
    read_structure,
)
from pyg_nnp.potential.potential import Potential

log = logging.getLogger(__name__)


def elastic_band(config: Simulation, initial: Atoms, potential: Potential, record: Record, console: Console) -> bool:
    """Find the path between two structures, a row for each step; its images are written at the end, or when stopped.

    Args:
        config: of a simulation with ``neb``.
        initial: the first image, with its calculator.
        potential: of all images, each of which has a calculator of its own.
        record: what frames and rows are added to.
        console: where progress is shown.

    Returns:
        Whether it has converged.

    Raises:
        DataError: the other end has other atoms.
    """
    options = config.neb
    assert options is not None
    images = _images(options, initial)
    for image in images:
        image.calc = calculator_of(config, potential)
        constrain(image, config.constraints)
        check_finite(image, 0, ADVICE)
    for end in (images[0], images[-1]):
        if (force := largest_force(end)) > options.fmax:
            log.warning("An end of the path is no minimum: its largest force is %.3f eV/Å. Optimise it first.", force)
    band = ase.mep.NEB(
        images,
        k=options.spring_constant,
        climb=options.climb,
        method="improvedtangent",
        remove_rotation_and_translation=not initial.constraints,
    )
    band.interpolate(method=options.interpolation, apply_constraint=False)
    try:
        converged = _relax_band(band, images, options, record, console)
    finally:
        for number, image in enumerate(images):
            record.frame(image, image=number)
    log.info("Barrier %.4f eV, energy of reaction %.4f eV.", *_energies(images))
    return converged


def _images(options: NEB, initial: Atoms) -> list[Atoms]:
    """Return both ends, and copies of the first one between them."""
    final = read_structure(Path(options.final), initial.info["charge"])
    if not np.array_equal(final.numbers, initial.numbers):
        raise DataError(f"neb.final: {options.final} has other atoms than structure, or in another order.")
    return [initial.copy() for _ in range(options.images + 1)] + [final]


def _relax_band(band: ase.mep.NEB, images: list[Atoms], options: NEB, record: Record, console: Console) -> bool:
    """Let the optimiser run, a row for each step, and return whether it has converged."""
    with progress(console, "NEB", options.steps) as show:

        def on_step(step: int) -> None:
            for image in images:
                check_finite(image, step, ADVICE)
            # over all images; ASE's residual leaves the climbing image out
            force = float(np.linalg.norm(band.get_forces(), axis=1).max())
            barrier, reaction = _energies(images)
            record.row(step=step, barrier_eV=barrier, reaction_eV=reaction, largest_force_eV_per_A=force)
            show(step, f"barrier {barrier:.4f} eV, largest force {force:.3f} eV/Å")

        return relax(band, options, on_step)


def _energies(images: list[Atoms]) -> tuple[float, float]:
    """Return barrier and energy of reaction [eV]."""
    energies = [float(image.get_potential_energy()) for image in images]
    return max(energies) - energies[0], energies[-1] - energies[0]
