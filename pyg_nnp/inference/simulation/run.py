# mypy: allow-untyped-calls
"""Everything between a simulation file and its results."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ase import Atoms
from rich.console import Console

from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.simulation.config import Simulation, load_simulation
from pyg_nnp.inference.simulation.crystals import equation_of_state, phonons
from pyg_nnp.inference.simulation.dynamics import claimed, read_restart, run_dynamics
from pyg_nnp.inference.simulation.paths import elastic_band, optimize, scan, single_point
from pyg_nnp.inference.simulation.record import LOG, TRAJECTORY, Record
from pyg_nnp.inference.simulation.structure import Held, constrain, read_structure, require_structure, what_is_held
from pyg_nnp.potential.checkpoint import load_potential
from pyg_nnp.runtime.logs import final_error_logged, run_log, versions, warnings_logged

if TYPE_CHECKING:
    from pyg_nnp.potential.potential import Potential

log = logging.getLogger(__name__)


def simulate(path: Path, out: Path, resume: bool = False) -> bool:
    """Do what a simulation file says.

    Args:
        path: the file.
        out: folder that everything is written to.
        resume: go on with dynamics that were stopped; where there is nothing to go on with, start.

    Returns:
        Whether all that had to converge has converged.

    Raises:
        ConfigError: something in the file is not right, or the folder has results already.
        DataError: something in the structure, the model or the results is not right.
        SimulationError: the simulation has exploded.
    """
    config = load_simulation(path)
    # before a folder is made
    require_structure(Path(config.structure))
    with claimed(out):
        saved = read_restart(config, out, resume)
        with run_log(out / "logs") as console, final_error_logged(), warnings_logged():
            log.info("Simulation %s, output in %s.", path, out.resolve())
            log.debug("Versions: %s", versions())
            log.debug("All options:\n%s", config.as_text())
            converged = _run(config, out, saved, console)
            if not converged:
                log.warning("Not converged. Take more steps, starting from the last frame of %s.", out / TRAJECTORY)
            return converged


def _run(config: Simulation, out: Path, saved: Mapping[str, Any] | None, console: Console) -> bool:
    potential = load_potential(config.model)
    # before a file is made: a mistake in the structure or the model leaves none
    atoms, held = _prepared_structure(config, potential)
    if not console.is_terminal:
        log.info("Step by step: %s.", out / LOG)
    if config.dynamics is not None:
        run_dynamics(config, atoms, out, saved, console)
        return True
    with Record(out) as record:
        if config.optimization is not None:
            return optimize(config.optimization, atoms, record, console)
        if config.scan is not None:
            return scan(config.scan, atoms, held, record, console)
        if config.neb is not None:
            return elastic_band(config.neb, atoms, held, lambda: _calculator(config, potential), record, console)
        if config.equation_of_state is not None:
            return equation_of_state(config.equation_of_state, atoms, record, console)
        if config.phonons is not None:
            return phonons(config.phonons, atoms, record, console)
        single_point(atoms, record)
        return True


def _prepared_structure(config: Simulation, potential: "Potential") -> tuple[Atoms, Held]:
    """Return the structure of a simulation with its constraints and calculator, evaluated once, and what is held."""
    path = Path(config.structure)
    atoms = read_structure(path, config.charge, potential)
    held = what_is_held(path, atoms, config.constraints)
    constrain(atoms, held)
    atoms.calc = _calculator(config, potential)
    try:
        atoms.get_potential_energy()
    except DataError as error:
        raise DataError(f"{config.structure}: {error}") from error
    return atoms, held


def _calculator(config: Simulation, potential: "Potential") -> PotentialCalculator:
    """Return a new calculator; several may share a potential."""
    if config.cuda and not torch.cuda.is_available():
        raise ConfigError("cuda: there is no CUDA device here. Set it to false.")
    calculator = PotentialCalculator(potential, device="cuda" if config.cuda else "cpu", dtype=config.dtype)
    if config.dynamics is not None:
        calculator.watch = None  # the trajectory says at which step
    if "forces" not in calculator.implemented_properties:
        raise DataError(f"{config.model}: this potential predicts no forces. Train one with the layer Force.")
    return calculator
