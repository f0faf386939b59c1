# mypy: allow-untyped-calls
"""Molecular dynamics from start, or restart, to end."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ase import Atoms
from rich.console import Console

from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.simulation.config import Dynamics, Simulation
from pyg_nnp.inference.simulation.record import LOG, TRAJECTORY, Record, progress
from pyg_nnp.inference.simulation.restart import RESTART, Restart, protocol
from pyg_nnp.inference.simulation.summary import summarize
from pyg_nnp.inference.simulation.trajectory import Trajectory
from pyg_nnp.runtime.files import write_json
from pyg_nnp.runtime.signals import deferred
from pyg_nnp.training.environment import changes, environment

log = logging.getLogger(__name__)

# a sixth to an eighth of the period of a bond of hydrogen, 1.008 u; that of others grows with the root of the mass
_LONGEST_STEP = 1.5  # fs


def run_dynamics(config: Simulation, atoms: Atoms, out: Path, saved: Restart | None, console: Console) -> None:
    """Run the dynamics of a simulation file, or go on with them.

    Args:
        config: of a simulation with dynamics.
        atoms: with calculator and constraints, where they start.
        out: folder of the results.
        saved: what ``restart.json`` says, to go on from there; None to start.
        console: where progress is shown.

    Raises:
        DataError: the structure has no velocities, but they are asked for; or ``restart.json`` is damaged.
        SimulationError: the simulation has exploded.
    """
    options = config.dynamics
    assert options is not None
    try:
        trajectory = Trajectory(options, atoms, saved)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{out / RESTART}: it is damaged ({error!r}). Start anew, with another -o.") from error
    _warn_of_long_step(options.timestep, atoms)
    calculator: PotentialCalculator = atoms.calc
    here = environment(calculator.potential.device)
    if saved is not None:
        log.info("Going on after step %d of %d.", trajectory.step, options.length)
        for found in changes(saved["environment"], here):
            log.warning("%s: the last bits may differ from those of a run that was not stopped.", found)
    about = {**protocol(config), "environment": here}
    with Record(out, saved and saved["sizes"]) as record:

        def save(state: Mapping[str, Any]) -> None:
            write_json(out / RESTART, {**about, "sizes": record.sync(), **state})

        _take_steps(options, trajectory, record, save, console)
    log.info("%d steps of %g fs; frames are in %s.", trajectory.step, options.timestep, out / TRAJECTORY)
    summarize(options, trajectory.degrees_of_freedom, out / LOG)
    if saved is None and not trajectory.bonds.warned:  # bonds before a restart are not known
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
    options: Dynamics, trajectory: Trajectory, record: Record, save: Callable[[dict[str, Any]], None], console: Console
) -> None:
    """Take all steps; where a signal ends it, the state after the last whole step is saved.

    Args:
        options: from the configuration.
        trajectory: at its start, or where it goes on.
        record: what frames and rows are added to.
        save: keeps a state durably.
        console: where progress is shown.

    Raises:
        SimulationError: it has exploded; what was written stays.
    """
    with progress(console, options.ensemble, options.length, trajectory.step) as show:
        try:
            if record.empty:
                with deferred():
                    trajectory.check()
                    save(trajectory.state())
                    trajectory.write(record)
            while trajectory.step < options.length:
                with deferred():
                    trajectory.advance(record)
                    if trajectory.step % options.save_interval == 0:
                        save(trajectory.state())
                show(trajectory.step, f"{trajectory.temperature():.0f} K")
        except KeyboardInterrupt:
            save(trajectory.state())
            log.info("Stopped after step %d of %d; --resume goes on.", trajectory.step, options.length)
            raise
    save(trajectory.state())
