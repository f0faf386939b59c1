"""Simulations of water with Morse bonds, and their results."""

import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import yaml
from ase import Atoms

from pyg_nnp.commands import cli

TESTS = Path(__file__).resolve().parent
DYNAMICS = {"steps": 60, "interval": 5, "save_interval": 7, "timestep": 0.2, "seed": 3, "max_temperature": 1e9}


def simulate(out: str = "out", *options: str, **document: Any) -> int:
    """Run the command on a document; the default is a single point of water with Morse bonds."""
    document = {"model": "morse", "structure": "water.xyz"} | document
    Path("sim.yaml").write_text(yaml.safe_dump(document))
    return cli.main(["simulate", "sim.yaml", "-o", out, *options])


def rows(out: str = "out") -> np.ndarray:
    return np.genfromtxt(f"{out}/log.csv", delimiter=",", names=True)


def last(out: str = "out") -> Atoms:
    return ase.io.read(f"{out}/trajectory.xyz")


def results(out: str) -> tuple[bytes, bytes, dict[str, Any]]:
    """Return trajectory, log, and the last state with all digits."""
    state = json.loads(Path(out, "restart.json").read_text())
    kept = {key: state[key] for key in ("step", "positions", "momenta", "generator", "sizes")}
    return Path(out, "trajectory.xyz").read_bytes(), Path(out, "log.csv").read_bytes(), kept
