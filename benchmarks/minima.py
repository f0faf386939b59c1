"""Minima and vibrations of a potential that was trained on the example, beside those of GFN2-xTB.

python benchmarks/minima.py FF01-SchNet --json minima.json

Optimisations start from 20 frames of the data set, each atom moved by 0.05 Å (standard deviation) in each direction;
in each minimum that is found the forces of GFN2-xTB would be 0 if the potential were exact. Vibrations are those of
finite differences, of each method in its own minimum, found from alanine_dipeptide.xyz, in order of their frequency.
Needs pip install -e .[make].
"""

# before torch, with which it shares a library
from tblite.ase import TBLite

# isort: split
import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from ase.vibrations import Vibrations
from common import Row, make_parser, parse_run, report, system
from frames import EXAMPLE, dipeptides
from rich.console import Console
from rich.progress import track

from pyg_nnp import PotentialCalculator

NUMBER, SPREAD, SEED = 20, 0.05, 0  # Å
FMAX, FMAX_OF_VIBRATIONS = 0.01, 0.001  # eV/Å
DISPLACEMENT = 0.01  # Å


def gfn2() -> TBLite:
    """Return GFN2-xTB as it labelled the data set."""
    return TBLite(method="GFN2-xTB", charge=0, accuracy=0.1, verbosity=0)


def distorted(number: int) -> list[Atoms]:
    """Return frames from all parts of the data set, with noise in their positions."""
    rng, frames = np.random.default_rng(SEED), dipeptides()
    chosen = frames[:: len(frames) // number][:number]
    return [
        Atoms(frame["atomic_numbers"], frame["coordinates"] + rng.normal(scale=SPREAD, size=frame["coordinates"].shape))
        for frame in chosen
    ]


def minimized(atoms: Atoms, calculator: Any, fmax: float, steps: int) -> tuple[Atoms, bool, int]:
    """Return the minimum, whether it was reached, and after how many steps."""
    atoms = atoms.copy()
    atoms.calc = calculator
    optimizer = BFGS(atoms, logfile=None)
    converged = optimizer.run(fmax=fmax, steps=steps)
    return atoms, bool(converged), optimizer.nsteps


def minima(starts: list[Atoms], calculator: Any, steps: int) -> Row:
    """Return what the forces of GFN2-xTB are in the minima."""
    forces, taken, reached = [], [], 0
    console = Console(stderr=True)
    for start in track(starts, "minima", console=console, disable=not sys.stderr.isatty()):
        found, converged, number = minimized(start, calculator, FMAX, steps)
        found.calc = gfn2()
        forces.append(found.get_forces())
        taken.append(number)
        reached += converged
    lengths = np.linalg.norm(np.array(forces), axis=-1)
    return {
        "geometries": len(starts),
        "converged": reached,
        "mean_steps": float(np.mean(taken)),
        "largest_force_eV/A": float(lengths.max()),
        "median_of_largest_eV/A": float(np.median(lengths.max(axis=1))),
        "rms_of_components_eV/A": float(np.sqrt(np.mean(np.square(forces)))),
    }


def frequencies(start: Atoms, calculator: Any, small: bool) -> np.ndarray:
    """Return the frequencies [1/cm] in the minimum, in order, without motion of the whole; imaginary ones negative."""
    atoms, converged, _ = minimized(start, calculator, FMAX_OF_VIBRATIONS, 2 if small else 1000)
    if not converged and not small:
        raise RuntimeError("no minimum was found, so that there are no vibrations.")
    with tempfile.TemporaryDirectory() as folder:
        vibrations = Vibrations(atoms, indices=[0, 1] if small else None, name=f"{folder}/vib", delta=DISPLACEMENT)
        vibrations.run()
        found = vibrations.get_frequencies()
    found = np.where(abs(found.imag) > abs(found.real), -abs(found.imag), found.real)
    # the six that are nearest to 0
    return np.sort(found if small else found[np.argsort(abs(found))[6:]])


def arguments_of() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("model", type=Path, help="the folder of a trained model, or its file")
    return parse_run(parser, threads=1)


def main() -> None:
    arguments = arguments_of()
    started, small = system("cpu"), arguments.small
    calculator = PotentialCalculator(arguments.model, dtype="float64")
    row = minima(distorted(2 if small else NUMBER), calculator, 2 if small else 1000)
    start = ase.io.read(EXAMPLE / "alanine_dipeptide.xyz")
    ours, theirs = (frequencies(start, method, small) for method in (calculator, gfn2()))
    figures = {
        "vibrations": len(ours),
        "mean_absolute_deviation_per_cm": float(abs(ours - theirs).mean()),
        "largest_deviation_per_cm": float(abs(ours - theirs).max()),
        "mean_frequency_per_cm": float(theirs.mean()),
        "lowest_of_the_potential_per_cm": float(ours.min()),
        "lowest_of_GFN2-xTB_per_cm": float(theirs.min()),
    }
    report("Forces of GFN2-xTB in minima of the potential", [row], arguments, started, **figures)


if __name__ == "__main__":
    main()
