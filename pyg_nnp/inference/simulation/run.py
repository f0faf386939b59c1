# mypy: allow-untyped-calls
"""The simulation command: everything between a simulation file and its results."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from rich.console import Console

from pyg_nnp.config.yaml_reader import format_yaml
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.extrapolation import CLOSER
from pyg_nnp.inference.simulation.config import Dynamics, Simulation, load_simulation
from pyg_nnp.inference.simulation.dynamics import Run, State, run_dynamics
from pyg_nnp.inference.simulation.paths import elastic_band, optimize, scan, single_point
from pyg_nnp.inference.simulation.record import LOG, TRAJECTORY, Record
from pyg_nnp.inference.simulation.structure import calculator_of, constrain, read_structure, require_structure
from pyg_nnp.potential.checkpoint import BEST, load_potential
from pyg_nnp.runtime.files import digest, locked_folder, write_json
from pyg_nnp.runtime.logs import final_error_logged, run_log, versions
from pyg_nnp.training.state import differences, environment

log = logging.getLogger(__name__)

RESTART = "restart.json"
# a sixth to an eighth of the period of a bond of hydrogen, 1.008 u; that of others grows with the root of the mass
_LONGEST_STEP = 1.5  # fs
# what may be another when a simulation goes on
_FREE = ("steps", "time", "save_interval", "max_temperature")


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
    with _claimed(out):
        saved = _saved(config, out, resume)
        with run_log(out / "logs") as console, final_error_logged(), _warnings_logged():
            log.info("Simulation %s, output in %s.", path, out.resolve())
            log.debug("Versions: %s", versions())
            log.debug("All options:\n%s", format_yaml(config.to_dict()))
            converged = _run(config, out, saved, console)
            if not converged:
                log.warning("Not converged. Take more steps, starting from the last frame of %s.", out / TRAJECTORY)
            return converged


@contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """Make the folder this run's own."""
    try:
        with locked_folder(out, wait=False):
            yield
    except BlockingIOError as error:
        raise ConfigError(f"{out} is in use by another run. Give this one another folder with -o.") from error


@contextmanager
def _warnings_logged() -> Iterator[None]:
    """Let warnings of the calculator, such as of charges that were never seen, be messages of the run."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: log.warning("%s", message)
        yield


def _saved(config: Simulation, out: Path, resume: bool) -> State | None:
    """Return the state to go on from, or None to start; refuse to write over results."""
    there = [name for name in (RESTART, TRAJECTORY, LOG) if (out / name).exists() and (out / name).stat().st_size]
    if not there:
        return None
    if not resume or RESTART not in there or config.dynamics is None:
        advice = "To go on with dynamics that were stopped: --resume." if RESTART in there else ""
        if resume:
            advice = "Only dynamics go on; else start from the last frame, as structure."
        raise ConfigError(
            f"{out} holds results of a simulation already: {', '.join(there)}. "
            f"Give another output folder with -o. {advice}".rstrip()
        )
    try:
        state: State = json.loads((out / RESTART).read_text(encoding="utf-8"))
        before = {key: state[key] for key in ("config", "inputs", "environment", "step", "sizes")}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{out / RESTART}: it is damaged ({error!r}). Start anew, with another -o.") from error
    now = {"config": _protocol(config), "inputs": _inputs(config)}
    if found := [*differences({key: before[key] for key in now}, now)]:
        raise ConfigError(
            f"{out / RESTART} cannot go on, since this is not the simulation that was stopped: {'; '.join(found[:5])}. "
            "Put back what was changed, or start anew, with another -o."
        )
    return state


def _protocol(config: Simulation) -> dict[str, Any]:
    """Return all options that the steps depend on."""
    document = config.to_dict()
    document["dynamics"] = {key: value for key, value in document["dynamics"].items() if key not in _FREE}
    return {key: value for key, value in document.items() if key not in ("model", "structure")}


def _inputs(config: Simulation) -> dict[str, str]:
    """Return digests of model and structure."""
    model = Path(config.model)
    paths = {"model": model / BEST if model.is_dir() else model, "structure": Path(config.structure)}
    return {name: digest(path) if path.is_file() else "missing" for name, path in paths.items()}


def _run(config: Simulation, out: Path, saved: State | None, console: Console) -> bool:
    potential = load_potential(config.model)

    def calculator() -> PotentialCalculator:
        return calculator_of(config, potential)

    atoms = read_structure(Path(config.structure), config.charge)
    constrain(atoms, config.constraints)
    atoms.calc = calculator()
    # before a file is made: a mistake in the structure or the model leaves none
    try:
        atoms.get_potential_energy()
    except DataError as error:
        raise DataError(f"{config.structure}: {error}") from error
    if not console.is_terminal:
        log.info("Step by step: %s.", out / LOG)
    if config.dynamics is not None:
        return _dynamics(config, atoms, out, saved, console)
    with Record(out) as record:
        return _path(config, atoms, calculator, record, console)


def _dynamics(config: Simulation, atoms: Atoms, out: Path, saved: State | None, console: Console) -> bool:
    options = config.dynamics
    assert options is not None
    try:
        run = Run(options, atoms, saved)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{out / RESTART}: it is damaged ({error!r}). Start anew, with another -o.") from error
    longest = _LONGEST_STEP * (atoms.get_masses().min() / 1.008) ** 0.5
    if options.timestep > longest:
        log.warning(
            "dynamics.timestep: %g fs is long: the lightest atoms vibrate too fast for more than about %.2g fs. "
            "Take 0.5 to 1 fs where there is hydrogen.",
            *(options.timestep, longest),
        )
    calculator: PotentialCalculator = atoms.calc
    here = environment(calculator.potential)
    if saved is not None:
        log.info("Going on after step %d of %d.", run.step, options.length)
        for found in differences(saved["environment"], here):
            log.warning("%s: the last bits may differ from those of a run that was not stopped.", found)
    about = {"config": _protocol(config), "inputs": _inputs(config), "environment": here}
    with Record(out, saved and saved["sizes"]) as record:

        def save(state: Mapping[str, Any]) -> None:
            write_json(out / RESTART, {**about, "sizes": record.sync(), **state})

        run_dynamics(options, run, record, save, console)
    log.info("%d steps of %g fs; frames are in %s.", run.step, options.timestep, out / TRAJECTORY)
    _sum_up(options, run, out / LOG)
    if saved is None and not run.bonds.warned:  # what was before a restart is not known
        log.info("No bond has formed or broken.")
    return True


def _sum_up(options: Dynamics, run: Run, path: Path) -> None:
    """Say what the rows of a log come to, those before a restart included."""
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
        # of the kinetic energy in the canonical ensemble
        fluctuation = options.temperature * (2 / max(run.degrees_of_freedom, 1)) ** 0.5
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


def _path(
    config: Simulation,
    atoms: Atoms,
    calculator: Callable[[], PotentialCalculator],
    record: Record,
    console: Console,
) -> bool:
    if config.optimization is not None:
        return optimize(config.optimization, atoms, record, console)
    if config.scan is not None:
        return scan(config.scan, atoms, config.constraints, record, console)
    if config.neb is not None:
        return elastic_band(config.neb, atoms, config.constraints, calculator, record, console)
    single_point(atoms, record)
    return True
