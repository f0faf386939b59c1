# mypy: allow-untyped-calls
"""Make a data set: Langevin dynamics with GFN2-xTB for molecules given as SMILES or XYZ files.

    python scripts/make_dataset.py "CC(=O)[O-]" --frames 500 -o acetate
    python scripts/make_dataset.py molecule.xyz --charge -1 --temperature 300 -o molecule
    python scripts/make_dataset.py CCO --trajectories 4 --temperature 500 1000 -o ethanol
    python scripts/make_dataset.py molecules.csv -o many        # columns: name,molecule[,charge][,frames]

Writes ``dataset.pkl``, a list with one dict per frame, in Hartree, Å, e (``forces`` holds the gradient dE/dR, in
Hartree/Å), and ``atomic_energy.csv``, the GFN2-xTB energies of the isolated atoms. Needs ``pip install -e .[make]``.
"""

import argparse
import csv
import importlib.util
import multiprocessing
import os
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculatorError
from ase.data import ground_state_magnetic_moments
from ase.md.langevin import Langevin
from ase.optimize import BFGS
from rich.console import Console
from rich.progress import Progress

Frame = dict[str, Any]


class InputError(Exception):
    """A mistake in the input; its text is all that the user sees."""


@dataclass(frozen=True)
class Molecule:
    """A molecule to sample, in its lowest spin state: a singlet, or a doublet if its number of electrons is odd."""

    name: str
    charge: int
    frames: int
    starts: list[Atoms]  # one starting geometry per trajectory


def conformers(smiles: str, number: int, seed: int) -> tuple[list[Atoms], int]:
    """Return ``number`` geometries of a molecule by RDKit's distance geometry, and its formal charge."""
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None or not molecule.GetNumAtoms():
            raise InputError(f"'{smiles}' is neither a SMILES nor the name of an .xyz, .csv or .txt file.")
        molecule = Chem.AddHs(molecule)
        options: Any = rdDistGeom.KDG()  # not ETKDG, whose torsion angles make conformers of small molecules alike
        options.randomSeed = seed + 1  # RDKit multiplies it by the conformer's number: with 0 all would be the same
        found = list(rdDistGeom.EmbedMultipleConfs(molecule, number, options))
    if not found:
        raise InputError(f"RDKit finds no geometry for '{smiles}'. Give an XYZ file instead.")
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    geometries = [Atoms(numbers, molecule.GetConformer(i).GetPositions()) for i in found]
    return [geometries[i % len(found)] for i in range(number)], Chem.GetFormalCharge(molecule)


def read_molecule(row: dict[str, str], options: argparse.Namespace, folder: Path = Path()) -> Molecule:
    """Read a row of the list. XYZ files are relative to ``folder``; a SMILES has the sum of its formal charges."""
    name, text = row["name"], row["molecule"] or ""
    try:
        charge = int(row["charge"]) if row.get("charge") else options.charge
        frames = int(row["frames"]) if row.get("frames") else options.frames
        if not text or frames < 1:
            raise ValueError("needs a molecule and at least one frame")
        if text.lower().endswith(".xyz"):
            atoms: Any = ase.io.read(folder / text, index=0, format="xyz")
            return Molecule(name, charge or 0, frames, [atoms] * options.trajectories)
    except (OSError, ValueError, LookupError) as error:
        raise InputError(f"{name}: {error}") from None
    starts, formal = conformers(text, options.trajectories, options.seed)
    if charge not in (None, formal):
        raise InputError(f"{name}: the SMILES '{text}' has charge {formal:+d}, but charge {charge:+d} was given.")
    return Molecule(name, formal, frames, starts)


def read_molecules(options: argparse.Namespace) -> list[Molecule]:
    """Read the molecule, or the list of molecules, that the command line names."""
    path = Path(options.molecule)
    if path.suffix.lower() not in (".csv", ".txt"):
        return [read_molecule({"name": options.molecule, "molecule": options.molecule}, options)]
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file, skipinitialspace=True)
        columns = table.fieldnames or []
        if not {"name", "molecule"} <= set(columns) <= {"name", "molecule", "charge", "frames"}:
            raise InputError(f"{path}: the first line must be 'name,molecule[,charge][,frames]'; it has {columns}.")
        return [read_molecule(row, options, path.parent) for row in table]


def gfn2(charge: int, unpaired: int) -> Any:
    """Return ASE's calculator for GFN2-xTB."""
    from tblite.ase import TBLite

    return TBLite(method="GFN2-xTB", charge=charge, multiplicity=unpaired + 1, accuracy=0.1, verbosity=0)


def frame(atoms: Atoms, charge: int) -> Frame:
    """Return the labelled frame, its centre of mass at the origin."""
    shift = atoms.get_center_of_mass()
    return {
        "number_of_atoms": len(atoms),
        "coordinates": atoms.positions - shift,
        "atomic_numbers": atoms.numbers,
        "energy": float(atoms.get_potential_energy() / units.Hartree),
        "forces": -atoms.get_forces() / units.Hartree,  # the raw gradient, as quantum chemistry programs print it
        "atomic_charges": atoms.get_charges().copy(),
        "total_charge": charge,
        "dipole": atoms.get_dipole_moment() - charge * shift,  # tblite's is about the origin of the coordinates
    }


finished: Any = None  # in a worker process: the number of frames that all workers have finished


def start_worker(counter: Any) -> None:
    """Give a new worker process the counter of finished frames."""
    global finished
    finished = counter


def sample(molecule: Molecule, k: int, seed: np.random.SeedSequence, options: argparse.Namespace) -> list[Frame]:
    """Run trajectory ``k``: relax the starting geometry, heat, equilibrate, then take a frame every ``interval`` fs."""
    rng = np.random.default_rng(seed)
    timestep, friction = options.timestep * units.fs, options.friction / units.fs
    temperature = options.temperature[k % len(options.temperature)]
    atoms = molecule.starts[k].copy()
    atoms.calc = gfn2(molecule.charge, unpaired=int(atoms.numbers.sum() - molecule.charge) % 2)
    frames = []
    try:
        BFGS(atoms, logfile=None).run(fmax=0.1, steps=200)
        widths = np.sqrt(atoms.get_masses() * (units.kB * temperature))[:, None]  # of the Maxwell distribution
        atoms.set_momenta(rng.standard_normal((len(atoms), 3)) * widths)
        # fixcm=False samples the exact distribution; frame() takes the drift out
        dynamics = Langevin(atoms, timestep, temperature_K=temperature, friction=friction, fixcm=False, rng=rng)
        dynamics.run(round(options.equilibrate / options.timestep))
        for _ in range(k, molecule.frames, options.trajectories):
            dynamics.run(max(1, round(options.interval / options.timestep)))
            frames.append(frame(atoms, molecule.charge))
            with finished.get_lock():
                finished.value += 1
    except CalculatorError as error:
        raise InputError(f"{molecule.name}: GFN2-xTB failed after {len(frames)} frames: {error}") from None
    return frames


def sample_all(molecules: Sequence[Molecule], options: argparse.Namespace) -> list[Frame]:
    """Run all trajectories, several at a time; frames come in order of molecule, trajectory, time."""
    seeds = iter(np.random.SeedSequence(options.seed).spawn(len(molecules) * options.trajectories))
    tasks = [(molecule, k, next(seeds), options) for molecule in molecules for k in range(options.trajectories)]
    context = multiprocessing.get_context("spawn")
    counter = context.Value("i", 0)
    with (
        context.Pool(min(options.processes, len(tasks)), start_worker, (counter,)) as pool,
        Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress,
    ):
        bar = progress.add_task("frames", total=sum(one.frames for one in molecules))
        result = pool.starmap_async(sample, tasks, chunksize=1)
        while not result.ready():
            result.wait(0.5)
            progress.update(bar, completed=counter.value)
        return [one for frames in result.get() for one in frames]


def atomic_energies(molecules: Sequence[Molecule]) -> dict[str, float]:
    """Return the energy [Hartree] of the isolated neutral atom in its ground state, for every element."""
    elements = sorted({int(number) for molecule in molecules for number in molecule.starts[0].numbers})
    atoms = [Atoms([Z], calculator=gfn2(0, unpaired=int(ground_state_magnetic_moments[Z]))) for Z in elements]
    return {atom.symbols[0]: atom.get_potential_energy() / units.Hartree for atom in atoms}


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Make a data set with GFN2-xTB.", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("molecule", help="SMILES, .xyz file, or .csv/.txt list with the columns name,molecule[,charge][,frames]")
    add("-c", "--charge", type=int, help="total charge; if not given, that of the SMILES, and 0 for an XYZ file")
    add("-n", "--frames", type=int, default=1000, help="frames per molecule")
    add("--trajectories", type=int, default=1, help="independent trajectories per molecule, which share its frames")
    add("--temperature", type=float, nargs="+", default=[500.0], help="K; of several, each trajectory has the next")
    add("--timestep", type=float, default=0.5, help="fs")
    add("--interval", type=float, default=40.0, help="fs between frames")
    add("--equilibrate", type=float, default=2000.0, help="fs before the first frame of each trajectory")
    add("--friction", type=float, default=0.01, help="of the Langevin thermostat, 1/fs")
    add("--seed", type=int, default=0, help="of conformers, velocities and thermostat")
    add("--processes", type=int, default=os.cpu_count() or 1, help="trajectories that run at a time")
    add("-o", "--output", type=Path, default=Path(), help="folder for dataset.pkl and atomic_energy.csv")
    options = parser.parse_args(arguments)
    for name in ("frames", "trajectories", "temperature", "timestep", "interval", "friction", "processes"):
        if not all(0 < value < np.inf for value in np.atleast_1d(getattr(options, name))):
            parser.error(f"--{name} must be greater than 0, and finite")
    if not 0 <= options.equilibrate < np.inf or options.seed < 0:
        parser.error("--equilibrate and --seed must not be negative")
    return options


def write(frames: list[Frame], energies: dict[str, float], folder: Path) -> None:
    """Write both files under another name first, so that an interrupted run leaves no half file."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset, table = folder / ".dataset.pkl.part", folder / ".atomic_energy.csv.part"
    with dataset.open("wb") as file:
        pickle.dump(frames, file, protocol=4)
    rows = "".join(f"{symbol},{energy:.10f}\n" for symbol, energy in energies.items())
    table.write_text("atom_type,atomic_energy\n" + rows)
    dataset.rename(folder / "dataset.pkl")
    table.rename(folder / "atomic_energy.csv")


def make(options: argparse.Namespace) -> None:
    """Check everything that can be checked beforehand, sample, write."""
    if not all(importlib.util.find_spec(name) for name in ("rdkit", "tblite")):
        raise InputError("This script needs rdkit and tblite: pip install -e .[make]")
    for name in ("dataset.pkl", "atomic_energy.csv"):
        if (options.output / name).exists():
            raise InputError(f"'{options.output / name}' exists and is left alone. Choose another folder with -o.")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core per trajectory; read when tblite is first imported
    molecules = read_molecules(options)
    energies = atomic_energies(molecules)
    frames = sample_all(molecules, options)
    write(frames, energies, options.output)
    print(f"{len(frames)} frames of {len(molecules)} molecule(s) in {options.output / 'dataset.pkl'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    try:
        make(parse_arguments(arguments))
        return 0
    except (InputError, OSError, CalculatorError) as error:
        print(f"make_dataset: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
