"""The folder of a simulation: what is in it already, and whether dynamics can go on from there."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.inference.simulation.config import Simulation
from pyg_nnp.inference.simulation.record import LOG, TRAJECTORY
from pyg_nnp.potential.description import BEST
from pyg_nnp.runtime.files import digest, locked_folder
from pyg_nnp.training.environment import changes

RESTART = "restart.json"
Restart = Mapping[str, Any]
"""Content of ``restart.json``: the state after a step, and what it belongs to."""
# options that may be another when a simulation goes on
_MAY_CHANGE = ("steps", "time", "save_interval", "max_temperature")


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Lock the folder of the results.

    Raises:
        ConfigError: another run has it.
    """
    try:
        with locked_folder(out, wait=False):
            yield
    except BlockingIOError as error:
        raise ConfigError(f"{out} is in use by another run. Give this one another folder with -o.") from error


def read_restart(config: Simulation, out: Path, resume: bool) -> Restart | None:
    """Return what ``restart.json`` says, or None to start.

    Raises:
        ConfigError: the folder has results that would be written over, or they are of another simulation.
        DataError: ``restart.json`` is damaged.
    """
    found = [name for name in (RESTART, TRAJECTORY, LOG) if (out / name).exists() and (out / name).stat().st_size]
    if not found:
        return None
    if not resume or RESTART not in found or config.dynamics is None:
        advice = "To go on with dynamics that were stopped: --resume." if RESTART in found else ""
        if resume:
            advice = "Only dynamics go on; else start from the last frame, as structure."
        raise ConfigError(
            f"{out} holds results of a simulation already: {', '.join(found)}. "
            f"Give another output folder with -o. {advice}".rstrip()
        )
    try:
        state: Restart = json.loads((out / RESTART).read_text(encoding="utf-8"))
        before = {key: state[key] for key in ("config", "inputs", "environment", "step", "sizes")}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{out / RESTART}: it is damaged ({error!r}). Start anew, with another -o.") from error
    now = protocol(config)
    if changed := [*changes({key: before[key] for key in now}, now)]:
        raise ConfigError(
            f"{out / RESTART} cannot go on, since this is not the simulation that was stopped: "
            f"{'; '.join(changed[:5])}. Put back what was changed, or start anew, with another -o."
        )
    return state


def protocol(config: Simulation) -> dict[str, Any]:
    """Return all that must be the same when dynamics go on: options that the steps depend on, and digests of inputs."""
    return {"config": _options(config), "inputs": _digests(config)}


def _options(config: Simulation) -> dict[str, Any]:
    document = config.to_dict()
    document["dynamics"] = {key: value for key, value in document["dynamics"].items() if key not in _MAY_CHANGE}
    return {key: value for key, value in document.items() if key not in ("model", "structure")}


def _digests(config: Simulation) -> dict[str, str]:
    """Return digests of model and structure."""
    model = Path(config.model)
    paths = {"model": model / BEST if model.is_dir() else model, "structure": Path(config.structure)}
    return {name: digest(path) if path.is_file() else "missing" for name, path in paths.items()}
