"""Drift of the total energy and time per step in dynamics at constant energy.

python benchmarks/dynamics.py FF01-SchNet --json dynamics.json
python benchmarks/dynamics.py FF01-SchNet molecule.xyz --ps 10 --dtypes float64 --filters table

2 ps of Langevin dynamics lead from the structure to 300 K. From there each precision, with tabulated and with exact
filters, goes its own way with steps of 0.5 fs. The drift is the slope of a line through the total energy. A run ends
when the atoms are hotter than 900 K, as no molecule gets by itself: it fell into a hole of the potential, somewhere
that the training data does not reach. The drift is then that of the time before the last 0.1 ps.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import Stationary, ZeroRotation
from ase.md.verlet import VelocityVerlet
from common import Row, make_parser, parse_run, report, system
from frames import EXAMPLE
from rich.console import Console
from rich.progress import Progress

from pyg_nnp import PotentialCalculator
from pyg_nnp.inference.simulation.trajectory import BondMonitor
from pyg_nnp.potential.checkpoint import load_parameters, load_potential, potential_from_spec
from pyg_nnp.potential.potential import Potential

TEMPERATURE, TIMESTEP, SEED = 300.0, 0.5, 0  # K, fs
HOTTEST = 3 * TEMPERATURE
LAST_PS = 0.1  # that do not count where a run ended in a hole
EVERY = 10  # steps between energies that the line goes through
UNTIMED = 20  # first steps, in which kernels are loaded


def with_filters(path: Path, filters: str) -> Potential:
    """Load a potential with tabulated or exact filters."""
    potential = load_potential(path)
    layers = [
        {**entry, "params": entry["params"] | ({"filters": filters} if "filters" in entry["params"] else {})}
        for entry in potential.spec["layers"]
    ]
    changed = potential_from_spec({**potential.spec, "layers": layers}, torch.Generator()).to(potential.dtype)
    load_parameters(changed, potential.spec, potential.state_dict())
    return changed.eval()


@contextmanager
def clock(potential: Potential) -> Iterator[dict[str, float]]:
    """Add up the seconds within the model, and within the list of neighbors, which the calculator keeps."""
    seconds, edges, forward = {"model": 0.0, "neighbors": 0.0}, PotentialCalculator._edges, potential.forward

    def timed(name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            start = perf_counter()
            result = function(*arguments)
            seconds[name] += perf_counter() - start
            return result

        return call

    PotentialCalculator._edges = timed("neighbors", edges)
    potential.forward = timed("model", forward)
    try:
        yield seconds
    finally:
        PotentialCalculator._edges = edges
        del potential.forward


def equilibrated(atoms: Atoms, model: Path, steps: int) -> Atoms:
    """Return the structure with velocities, after dynamics with a thermostat and without drift or rotation."""
    rng = np.random.default_rng(SEED)
    atoms = atoms.copy()
    atoms.calc = PotentialCalculator(model, dtype="float64")
    widths = np.sqrt(atoms.get_masses() * (units.kB * TEMPERATURE))[:, None]
    atoms.set_momenta(rng.standard_normal((len(atoms), 3)) * widths)
    settings = {"temperature_K": TEMPERATURE, "friction": 0.01 / units.fs, "fixcm": False, "rng": rng}
    Langevin(atoms, TIMESTEP * units.fs, **settings).run(steps)
    Stationary(atoms)
    ZeroRotation(atoms)
    return atoms


def run(atoms: Atoms, potential: Potential, dtype: str, steps: int, hottest: float, progress: Progress) -> Row:
    """Return drift and times of one run from the given positions and velocities."""
    atoms = atoms.copy()
    atoms.calc = PotentialCalculator(potential, dtype=dtype)
    dynamics = VelocityVerlet(atoms, TIMESTEP * units.fs)
    dynamics.run(UNTIMED)
    energies, temperatures, fell, bonds = [], [], False, BondMonitor(atoms)
    task = progress.add_task(dtype, total=steps)
    with clock(atoms.calc.potential) as seconds:  # a copy
        start = perf_counter()
        for _ in range(steps // EVERY):
            dynamics.run(EVERY)
            energies.append(atoms.get_total_energy())
            temperatures.append(atoms.get_temperature())
            progress.advance(task, EVERY)
            bonds.check(atoms, len(energies) * EVERY)
            if fell := temperatures[-1] > hottest:
                break
        wall = perf_counter() - start
    progress.remove_task(task)
    taken, spacing = len(energies) * EVERY, EVERY * TIMESTEP / 1000
    counted = len(energies) - (round(LAST_PS / spacing) if fell else 0)
    if counted < 2:
        raise SystemExit(f"{dtype}: hotter than {hottest:g} K after {taken} steps, too early for a line.")
    ps = spacing * np.arange(counted)
    meV = 1000 * np.array(energies[:counted]) / len(atoms)
    line = np.polynomial.Polynomial.fit(ps, meV, 1)
    outside = wall - seconds["model"]
    return {
        "ps": taken * TIMESTEP / 1000,
        "fell_into_a_hole": "yes" if fell else "no",
        "kept_its_bonds": "no" if bonds.warned else "yes",
        "drift_meV/atom/ps": float(line.convert().coef[1]),
        "fluctuation_meV/atom": float((meV - line(ps)).std()),
        "mean_K": float(np.mean(temperatures[:counted])),
        "ms_per_step": 1000 * wall / taken,
        "share_of_neighbors": seconds["neighbors"] / wall,
        "share_of_ASE_and_conversion": (outside - seconds["neighbors"]) / wall,
        "share_outside_model": outside / wall,
    }


def arguments_of() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("model", type=Path, help="the folder of a trained model, or its file")
    parser.add_argument("structure", type=Path, nargs="?", default=EXAMPLE / "alanine_dipeptide.xyz")
    parser.add_argument("--ps", type=float, default=100.0, help="length of each run (default: 100)")
    parser.add_argument("--dtypes", nargs="+", choices=("float32", "float64"), default=["float32", "float64"])
    parser.add_argument("--filters", nargs="+", choices=("table", "exact"), default=["table", "exact"])
    return parse_run(parser, threads=1)


def main() -> None:
    arguments = arguments_of()
    started = system("cpu")
    steps, before = (40, 20) if arguments.small else (round(1000 * arguments.ps / TIMESTEP), 4000)
    # the potential of a test is not trained
    hottest = math.inf if arguments.small else HOTTEST
    atoms = equilibrated(ase.io.read(arguments.structure), arguments.model, before)
    rows = []
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        for dtype, filters in product(arguments.dtypes, arguments.filters):
            figures = run(atoms, with_filters(arguments.model, filters), dtype, steps, hottest, progress)
            rows.append({"dtype": dtype, "filters": filters, **figures})
    report(f"Dynamics at constant energy, {len(atoms)} atoms", rows, arguments, started)


if __name__ == "__main__":
    main()
