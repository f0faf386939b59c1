"""How near energies and forces through each simulation engine are to those of ``potential(batch)``.

OMP_NUM_THREADS=1 python benchmarks/precision.py FF01-SchNet FF01-Cartesian --json precision.json

By default for 20 structures of the example, distorted by 0.05 Å: 7 neutral molecules, 7 charged ones and 6 periodic
cells; for cells of potentials of molecules, layers that refuse cells are left out. Of ``--structures``, ``--count`` are
taken. i-PI is ASE's server of its protocol. Differences of energies are relative to each, those of forces are the
largest component relative to the largest one of the structure's forces, and of those of all structures. Last come how
far ``potential(batch)`` itself is from what it is for the same atoms in reverse order, which only adds up in another
order, and in float32 from what it is in float64.
"""

import copy
import os
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.socketio import SocketIOCalculator
from common import Row, make_parser, parse_run, report, system
from engines import KJ, SOCKET, lammps_without_box, topology_of
from frames import EXAMPLE
from numpy.typing import NDArray
from torch_geometric.data import Batch, Data

from pyg_nnp import PotentialCalculator, load_potential
from pyg_nnp.config import load_config
from pyg_nnp.fields import FIELDS
from pyg_nnp.inference.engines import ipi
from pyg_nnp.layers import EnergyReduce, Stress
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.potential import Potential

COUNT = 20
DTYPES = "float32", "float64"
# energy [eV], forces [eV/Å], and the structure as the engine has it
Found = tuple[float, NDArray[np.float64], Atoms]
Engine = Callable[[Potential, Atoms, str], Found]


def examples() -> list[Atoms]:
    """Return distorted structures; each has its charge."""
    found = []
    for number in range(COUNT):
        atoms = ase.io.read(EXAMPLE / "alanine_dipeptide.xyz")
        atoms.info = {"charge": 0.0 if number < 7 or number >= 14 else float(-1) ** number}
        if number >= 14:
            atoms.set_cell(np.diag([12.0, 13.0, 14.0]) + np.tril(np.full((3, 3), 0.2 * (number - 14)), -1))
            atoms.pbc = True
        atoms.rattle(0.05, seed=number)
        found.append(atoms)
    return found


def untrained(path: str) -> Potential:
    """Return the potential of a configuration, as it is before training."""
    config = load_config(Path(path))
    return build_potential(config, next(iter(config.Modelhub.internal_FFs))).eval()


def for_cells(potential: Potential, *names: str) -> Potential:
    """Return a potential without some layers, without the energy that one of them writes, and with the stress."""
    names = (*names, "AtomicCharge2Dipole", "Stress")
    layers = [layer for layer in potential.layers if type(layer).__name__ not in names] + [Stress()]
    written = {name for layer in layers for name in layer.writes}
    for place, layer in enumerate(layers):
        if isinstance(layer, EnergyReduce):
            terms = [name for name in layer.reads if name in written]
            layers[place] = EnergyReduce(terms)
    found = Potential(copy.deepcopy(layers), potential.spec)
    found.domain = potential.domain
    found.set_references(potential.atomic_energies, float(potential.energy_shift))
    return found.eval()


def by_batch(potential: Potential, atoms: Atoms, dtype: str) -> Found:
    own, units = copy.deepcopy(potential).to(getattr(torch, dtype)).eval(), potential.units
    data = Data(
        Ra=torch.tensor(atoms.positions / units.length), Za=torch.tensor(atoms.numbers), N=torch.tensor([len(atoms)]),
        Q=torch.tensor([atoms.info.get("charge", 0.0)], dtype=own.dtype), num_nodes=len(atoms),
    )  # fmt: skip
    if atoms.pbc.any():
        data.cell = torch.tensor(atoms.cell.array / units.length)[None]  # (1, 3, 3)
        data.pbc = torch.tensor(atoms.pbc.astype(int))[None]  # (1, 3)
    predicted = own(Batch.from_data_list([data]))
    energy, forces = (predicted[name].double() * units.in_ase(FIELDS[name].unit) for name in ("E", "Fa"))
    return float(energy[0]), forces.numpy(), atoms


def in_reverse(potential: Potential, atoms: Atoms, dtype: str) -> Found:
    energy, forces, _ = by_batch(potential, atoms[::-1], dtype)
    return energy, forces[::-1], atoms


def by_calculator(atoms: Atoms, calculator: Calculator) -> Found:
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms.get_potential_energy(), atoms.get_forces(), atoms


def in_standard_form(atoms: Atoms) -> Atoms:
    """Return a structure turned so that its first lattice vector lies along x, and the second in the plane of x, y."""
    turned = atoms.copy()
    turned.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    return turned


def with_ase(potential: Potential, atoms: Atoms, dtype: str) -> Found:
    return by_calculator(atoms, PotentialCalculator(potential, dtype=dtype))


def with_openmm(potential: Potential, atoms: Atoms, dtype: str) -> Found:
    from openmm import Context, Platform, VerletIntegrator, unit
    from openmm.app.internal.unitcell import reducePeriodicBoxVectors
    from openmmml import MLPotential

    if atoms.pbc.any():
        atoms = in_standard_form(atoms)
        atoms.set_cell(reducePeriodicBoxVectors(atoms.cell.array * unit.angstrom).value_in_unit(unit.angstrom))
    calculator, info = PotentialCalculator(potential, dtype=dtype), {"charge": atoms.info.get("charge", 0.0)}
    of_system = MLPotential("ase").createSystem(topology_of(atoms), calculator=calculator, info=info)
    context = Context(of_system, VerletIntegrator(0.001), Platform.getPlatformByName("Reference"))
    context.setPositions(atoms.positions * unit.angstrom)
    state = context.getState(energy=True, forces=True)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.angstrom) * KJ
    return state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) * KJ, forces, atoms


def with_ipi(potential: Potential, atoms: Atoms, dtype: str) -> Found:
    own = atoms.copy()
    own.calc = PotentialCalculator(potential, dtype=dtype)

    def client(socket: str) -> None:
        # ASE's server leaves without a word
        with suppress(ipi.ServerError):
            ipi.answer(own, socket=socket)

    def launch(atoms: Atoms, properties: object, port: object, unixsocket: str) -> Client:
        return Client(target=client, args=(unixsocket,))

    with SocketIOCalculator(unixsocket=f"{SOCKET}_{os.getpid()}", launch_client=launch) as server:
        return by_calculator(atoms, server)


class Client(Thread):
    """What ASE's server takes for a process that it has started."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.start()

    def poll(self) -> None:
        """Return the exit status, of which a thread has none."""

    def wait(self) -> int:
        self.join()
        return 0


def with_torchsim(potential: Potential, atoms: Atoms, dtype: str) -> Found:
    import torch_sim as ts

    from pyg_nnp.inference.engines.torchsim import PygNnpModel

    model = PygNnpModel(potential, charge=atoms.info.get("charge", 0.0), device="cpu", dtype=dtype)
    results = model(ts.io.atoms_to_state([atoms], torch.device("cpu"), torch.float64))
    return float(results["energy"][0]), results["forces"].double().numpy(), atoms


def with_lammps(potential: Potential, atoms: Atoms, dtype: str) -> Found:
    from pyg_nnp.inference.engines.lammps import LammpsForces

    elements, lmp = sorted(set(atoms.symbols)), lammps_without_box("p" if atoms.pbc.any() else "s")
    region, atoms = "block -20 20 -20 20 -20 20", atoms.copy()
    if atoms.pbc.any():
        atoms = in_standard_form(atoms)
        (x, _, _), (xy, y, _), (xz, yz, z) = atoms.cell
        region = f"prism 0 {x} 0 {y} 0 {z} {xy} {xz} {yz}"
        atoms.wrap()
    lmp.commands_string(f"box tilt large\nregion all {region}\ncreate_box {len(elements)} all\nmass * 1")
    types = [1 + elements.index(symbol) for symbol in atoms.symbols]
    lmp.create_atoms(len(atoms), None, types, atoms.positions.flatten().tolist())
    LammpsForces(lmp, potential, elements, charge=atoms.info.get("charge", 0.0), dtype=dtype)
    lmp.commands_string("fix move all nve\nrun 0")
    order = np.argsort(lmp.numpy.extract_atom("id")[: len(atoms)])  # images come after them
    atoms.positions, forces = (lmp.numpy.extract_atom(name)[order].copy() for name in ("x", "f"))
    if atoms.pbc.any():
        low, high, xy, yz, xz, *_ = lmp.extract_box()
        x, y, z = np.subtract(high, low)
        atoms.set_cell([[x, 0, 0], [xy, y, 0], [xz, yz, z]])
    energy = lmp.get_thermo("pe")
    lmp.close()
    return energy, forces, atoms


def with_metatomic(potential: Potential, atoms: Atoms, dtype: str) -> Found:
    # before its calculator, which imports metatensor
    from pyg_nnp.inference.engines.metatomic import export

    from metatomic_ase import MetatomicCalculator  # isort: skip

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        own = copy.deepcopy(potential).to(getattr(torch, dtype))
        export(own, path, charge=atoms.info.get("charge", 0.0))
        return by_calculator(atoms, MetatomicCalculator(path))


ENGINES: dict[str, tuple[str, Engine]] = {
    "ASE": ("ase", with_ase),
    "OpenMM": ("openmmml", with_openmm),
    "i-PI": ("ase", with_ipi),
    "TorchSim": ("torch_sim", with_torchsim),
    "LAMMPS": ("lammps", with_lammps),
    "metatomic": ("metatomic_ase", with_metatomic),
}


def of_structures(engine: Engine, cases: list[tuple[Potential, Atoms]], dtype: str) -> Row:
    """Return the largest differences of an engine."""
    energies, relative, differences, largest = [], [], [], []
    for potential, atoms in cases:
        energy, forces, own = engine(potential, atoms, dtype)
        right_energy, right_forces, _ = by_batch(potential, own, dtype)
        energies.append(abs(energy / right_energy - 1))
        differences.append(np.abs(forces - right_forces).max())
        largest.append(np.abs(right_forces).max())
        relative.append(differences[-1] / largest[-1])
    return {
        "energy": max(energies), "forces": float(max(relative)), "forces_median": float(np.median(relative)),
        "forces_of_all": float(max(differences) / max(largest)),
        "above_1e-6": float(np.mean(np.array(relative) > 1e-6)), "structures": len(cases),
    }  # fmt: skip


def rows(arguments: Namespace) -> Iterator[Row]:
    structures = examples()
    if arguments.structures:
        frames, count = ase.io.read(arguments.structures, ":"), arguments.count
        structures = [frames[n * len(frames) // count] for n in range(count)]
    structures = structures[:: 10 if arguments.small else 1]
    for model in arguments.models:
        potential = untrained(model) if model.endswith(".yaml") else load_potential(model)
        in_cells, by_torchscript = for_cells(potential), for_cells(potential, "ElectrostaticEnergy")
        for name, (package, engine) in ENGINES.items():
            if find_spec(package) is None:
                continue
            of_cell = by_torchscript if engine is with_metatomic else in_cells
            cases = [(of_cell if atoms.pbc.any() else potential, atoms) for atoms in structures]
            for dtype in DTYPES:
                yield {"engine": name, "model": model, "dtype": dtype} | of_structures(engine, cases, dtype)
        cases = [(in_cells if atoms.pbc.any() else potential, atoms) for atoms in structures]
        for dtype in DTYPES:
            yield {"engine": "none, reversed", "model": model, "dtype": dtype} | of_structures(in_reverse, cases, dtype)
        by_rounding = of_structures(lambda potential, atoms, _: by_batch(potential, atoms, DTYPES[0]), cases, DTYPES[1])
        yield {"engine": "none", "model": model, "dtype": " from ".join(DTYPES)} | by_rounding


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("models", nargs="+", help="folders of trained models, or configurations: not trained yet")
    parser.add_argument("--structures", type=Path, help="of these, in place of the example's")
    parser.add_argument("--count", type=int, default=COUNT, help="of --structures (default: %(default)s)")
    arguments = parse_run(parser, threads=1)
    report("Differences from potential(batch)", list(rows(arguments)), arguments, system("cpu"))


if __name__ == "__main__":
    main()
