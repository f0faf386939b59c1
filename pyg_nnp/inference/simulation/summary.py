"""Means and extremes of molecular dynamics."""

import logging
from pathlib import Path

import numpy as np

from pyg_nnp.inference.extrapolation import CLOSER
from pyg_nnp.inference.simulation.config import Dynamics

log = logging.getLogger(__name__)


def summarize(options: Dynamics, degrees_of_freedom: int, path: Path) -> None:
    """Log means and extremes of a whole simulation, what was before a restart included.

    Args:
        options: from the configuration.
        degrees_of_freedom: those that the kinetic energy is spread over.
        path: ``log.csv``.
    """
    rows = np.atleast_1d(np.genfromtxt(path, delimiter=",", names=True))
    # a thermostat changes the total energy
    which = "total" if options.ensemble == "nve" else "potential"
    temperature, energy = rows["temperature_K"], rows[f"{which}_eV"]
    # a relaxed or a strained structure begins elsewhere
    second_half = temperature[len(temperature) // 2 :]
    log.info(
        "Mean temperature %.1f K, in the second half %.1f K; %s energy from %.4f to %.4f eV.",
        *(temperature.mean(), second_half.mean(), which, energy.min(), energy.max()),
    )
    if options.ensemble == "langevin":
        # standard deviation of the kinetic energy in the canonical ensemble
        fluctuation = options.temperature * (2 / max(degrees_of_freedom, 1)) ** 0.5
        log.info(
            "The temperature fluctuates by %.0f K (%g K that fluctuate by %.0f K are expected in a long run).",
            *(temperature.std(), options.temperature, fluctuation),
        )
    shortest = rows["shortest_vs_training"]
    outside = np.flatnonzero(shortest < CLOSER)
    if len(outside):
        log.warning(
            "%d of %d frames, the first at %g ps, have atoms closer than in the training data: down to %.2f times the "
            "distance there (shortest_vs_training in %s).",
            *(len(outside), len(rows), rows["time_ps"][outside[0]], shortest[outside].min(), path),
        )
