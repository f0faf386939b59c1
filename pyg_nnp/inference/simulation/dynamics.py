# mypy: allow-untyped-calls
"""Molecular dynamics from start, or restart, to end, and what is in the folder of a simulation already."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from rich.console import Console

from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.inference.extrapolation import CLOSER
from pyg_nnp.inference.simulation.config import Dynamics, Simulation
from pyg_nnp.inference.simulation.record import LOG, TRAJECTORY, Record, progress
from pyg_nnp.inference.simulation.trajectory import Trajectory
from pyg_nnp.potential.description import BEST
from pyg_nnp.runtime.files import digest, locked_folder, write_json
from pyg_nnp.runtime.signals import deferred
from pyg_nnp.training.environment import changes, environment

log = logging.getLogger(__name__)

_RESTART = "restart.json"
# options that may be another when a simulation goes on
_MAY_CHANGE = ("steps", "time", "save_interval", "max_temperature")
# a sixth to an eighth of the period of a bond of hydrogen, 1.008 u; that of others grows with the root of the mass
_LONGEST_STEP = 1.5  # fs


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Lock the folder of the results; :class:`ConfigError` if another run has it."""
    try:
        with locked_folder(out, wait=False):
            yield
    except BlockingIOError as error:
        raise ConfigError(f"{out} is in use by another run. Give this one another folder with -o.") from error


def read_restart(config: Simulation, out: Path, resume: bool) -> Mapping[str, Any] | None:
    """Return what ``restart.json`` says, the state after a step and what it belongs to, or None to start.

    Raises:
        ConfigError: the folder has results that would be written over, or they are of another simulation.
        DataError: ``restart.json`` is damaged.
    """
    found = [name for name in (_RESTART, TRAJECTORY, LOG) if (out / name).exists() and (out / name).stat().st_size]
    if not found:
        return None
    if not resume or _RESTART not in found or config.dynamics is None:
        advice = "To go on with dynamics that were stopped: --resume." if _RESTART in found else ""
        if resume:
            advice = "Only dynamics go on; else start from the last frame, as structure."
        raise ConfigError(
            f"{out} holds results of a simulation already: {', '.join(found)}. "
            f"Give another output folder with -o. {advice}".rstrip()
        )
    now = _protocol(config)
    with _damage_named(out):
        state: Mapping[str, Any] = json.loads((out / _RESTART).read_text(encoding="utf-8"))
        before = {key: state[key] for key in (*now, "environment", "step", "sizes")}
    if changed := [*changes({key: before[key] for key in now}, now)]:
        raise ConfigError(
            f"{out / _RESTART} cannot go on, since this is not the simulation that was stopped: "
            f"{'; '.join(changed[:5])}. Put back what was changed, or start anew, with another -o."
        )
    return state


@contextmanager
def _damage_named(out: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{out / _RESTART}: it is damaged ({error!r}). Start anew, with another -o.") from error


def _protocol(config: Simulation) -> dict[str, Any]:
    """Return all that must be the same when dynamics go on: options that the steps depend on, and digests of inputs."""
    options = config.model_dump(exclude_none=True, exclude={"model", "structure"})
    options["dynamics"] = {key: value for key, value in options["dynamics"].items() if key not in _MAY_CHANGE}
    if options["constraints"]["from_structure"]:
        # what older versions do not say
        del options["constraints"]["from_structure"]
    model = Path(config.model)
    inputs = {"model": model / BEST if model.is_dir() else model, "structure": Path(config.structure)}
    digests = {name: digest(path) if path.is_file() else "missing" for name, path in inputs.items()}
    return {"config": options, "inputs": digests}


def run_dynamics(
    config: Simulation, atoms: Atoms, out: Path, saved: Mapping[str, Any] | None, console: Console
) -> None:
    """Run the dynamics of a simulation file, or go on from what :func:`read_restart` returned.

    Raises:
        DataError: the structure has no velocities, but they are asked for; or ``restart.json`` is damaged.
        SimulationError: the simulation has exploded.
    """
    options = config.dynamics
    assert options is not None
    with _damage_named(out):
        trajectory = Trajectory(options, atoms, saved)
    _warn_of_long_step(options.timestep, atoms)
    here = environment(atoms.calc.potential.device)
    if saved is not None:
        log.info("Going on after step %d of %d.", trajectory.step, options.length)
        for found in changes(saved["environment"], here):
            log.warning("%s: the last bits may differ from those of a run that was not stopped.", found)
    about = {**_protocol(config), "environment": here}
    with Record(out, saved and saved["sizes"]) as record:

        def save() -> None:
            write_json(out / _RESTART, {**about, "sizes": record.sync(), **trajectory.state()})

        _take_steps(options, trajectory, record, save, console)
    log.info("%d steps of %g fs; frames are in %s.", trajectory.step, options.timestep, out / TRAJECTORY)
    _summarize(options, trajectory.degrees_of_freedom, out / LOG)
    # bonds before a restart are not known
    if saved is None and trajectory.bonds.watches and not trajectory.bonds.warned:
        log.info("No bond has formed or broken.")


def _warn_of_long_step(timestep: float, atoms: Atoms) -> None:
    longest = _LONGEST_STEP * (atoms.get_masses().min() / 1.008) ** 0.5
    if timestep > longest:
        log.warning(
            "dynamics.timestep: %g fs is long: the lightest atoms vibrate too fast for more than about %.2g fs. "
            "Take 0.5 to 1 fs where there is hydrogen.",
            *(timestep, longest),
        )


def _take_steps(
    options: Dynamics, trajectory: Trajectory, record: Record, save: Callable[[], None], console: Console
) -> None:
    """Take all steps; where a signal ends it, the state after the last whole step is saved."""
    with progress(console, options.ensemble, options.length, trajectory.step) as show:
        try:
            if record.empty:
                with deferred():
                    trajectory.check()
                    save()
                    trajectory.write(record)
            while trajectory.step < options.length:
                with deferred():
                    trajectory.advance(record)
                    if trajectory.step % options.save_interval == 0:
                        save()
                show(trajectory.step, f"{trajectory.temperature():.0f} K")
        except KeyboardInterrupt:
            save()
            log.info("Stopped after step %d of %d; --resume goes on.", trajectory.step, options.length)
            raise
    save()


def _summarize(options: Dynamics, degrees_of_freedom: int, path: Path) -> None:
    """Log means and extremes of a whole ``log.csv``, what was before a restart included."""
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
