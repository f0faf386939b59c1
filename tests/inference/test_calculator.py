"""The ASE calculator: the potential's own numbers in eV and Å, whatever the units of training."""

import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import programs
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces
from crystals import periodic_data, some_crystals
from engine_systems import of_crystals
from molecules import LAYER_ENTRIES, make_data, make_potential
from potentials import BOHR, HARTREE, distorted_water, potential_in
from toy import toy_config

import pyg_nnp
from pyg_nnp import units
from pyg_nnp.config import config_from_dict
from pyg_nnp.errors import DataError
from pyg_nnp.functional import neighbor_search
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.checkpoint import save_potential
from pyg_nnp.potential.description import TrainingDomain
from pyg_nnp.potential.potential import Potential

MOLECULAR = ("ChargeConservation", "AtomicCharge2Dipole", "ElectrostaticEnergy")
UNITS = {
    "Hartree, Å": (1.0, 0.5291772108, HARTREE, 1.0),
    "eV, Å": (27.2114, 0.529177, 1.0, 1.0),
    "kcal/mol, Å": (627.509, 0.5291772, HARTREE / units.HARTREE_IN_KCAL_PER_MOL, 1.0),
    "kJ/mol, nm": (2625.5, 0.05291772, HARTREE / units.HARTREE_IN_KJ_PER_MOL, 10.0),
    "Hartree, Bohr": (1.0, 1.0, HARTREE, BOHR),
    "unnamed": (3.0, 2.0, HARTREE / 3, BOHR / 2),
}


def test_calculators_can_be_sent_to_other_processes() -> None:
    atoms = distorted_water(0.1)
    atoms.calc = PotentialCalculator(potential_in(1.0, BOHR))
    again = atoms.copy()
    again.calc = pickle.loads(pickle.dumps(atoms.calc))
    assert again.get_potential_energy() == atoms.get_potential_energy()


# a potential in float32, on which kernels run, used in the parent before it is forked
FORKED = """
import multiprocessing, torch
from potentials import distorted_water, potential_in
from pyg_nnp.inference.calculator import PotentialCalculator

torch.set_num_threads(2)
potential = potential_in(1.0, 0.5291772108, "float32")
shared = PotentialCalculator(potential)

def energy(own):
    atoms = distorted_water(0.1)
    atoms.calc = PotentialCalculator(potential) if own else shared
    atoms.calc.reset()
    return atoms.get_potential_energy(), float(atoms.get_forces()[0, 0])

right = energy(False)
fork = multiprocessing.get_context("fork")
{use}
for one in found:
    assert max(abs(a - b) for a, b in zip(one, right)) < 1e-4, (one, right)
assert energy(True) == energy(False) == right
"""


@pytest.mark.parametrize(
    "use",
    [
        "with fork.Pool(2) as pool: found = pool.map(energy, [True] * 4)",
        "with fork.Pool(2) as pool: found = pool.map(energy, [False] * 4)",
        """
class Frames(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, number):
        return energy(number % 2)
loader = torch.utils.data.DataLoader(Frames(), num_workers=2, batch_size=None, multiprocessing_context="fork")
found = [[float(value) for value in one] for one in loader]
""",
    ],
)
def test_calculators_in_forked_processes(use: str) -> None:
    """They end, with the energies and forces of the process that they were forked from."""
    program = FORKED.format(use=use)
    status, out, err = programs.run(["-c", program])
    assert status == 0, out + err
    assert "plain torch computes here" in out + err


@pytest.mark.parametrize("name", UNITS)
def test_properties_are_those_of_the_potential(name: str) -> None:
    hartree, bohr, energy, length = UNITS[name]
    potential = potential_in(hartree, bohr)
    atoms = distorted_water(0.1)
    atoms.calc = PotentialCalculator(potential)
    predicted = potential(make_data(atoms.numbers, atoms.positions / length))
    assert atoms.get_potential_energy() == pytest.approx(float(predicted["E"]) * energy, rel=1e-12)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.get_forces(), predicted["Fa"].numpy() * energy / length, rtol=1e-12)
    np.testing.assert_allclose(atoms.get_charges(), predicted["Qa"].numpy(), rtol=1e-12)
    np.testing.assert_allclose(atoms.get_dipole_moment(), predicted["M2"][0].numpy() * length, rtol=1e-12)


@pytest.mark.parametrize("name", ["Hartree, Å", "kJ/mol, nm", "unnamed"])
def test_forces_are_the_slope_of_the_energy(name: str) -> None:
    """By ASE's own numerical forces."""
    atoms = distorted_water(0.1)
    atoms.calc = PotentialCalculator(potential_in(*UNITS[name][:2]))
    np.testing.assert_allclose(calculate_numerical_forces(atoms, eps=1e-4), atoms.get_forces(), rtol=1e-5, atol=1e-6)


def test_one_evaluation_for_all_properties(monkeypatch: pytest.MonkeyPatch) -> None:
    potential = potential_in(1.0, 0.529177)
    calls: list[int] = []
    potential.register_forward_pre_hook(lambda module, inputs: calls.append(1))
    atoms = distorted_water()
    atoms.calc = PotentialCalculator(potential)
    for _ in range(2):
        atoms.get_potential_energy()
        atoms.get_forces()
        atoms.get_charges()
    assert len(calls) == 1
    atoms.positions[0, 0] += 0.1
    atoms.get_forces()
    assert len(calls) == 2
    atoms.info["charge"] = 1
    atoms.get_forces()
    assert len(calls) == 3
    atoms.info["charge"] = 1.0
    atoms.get_potential_energy()
    assert len(calls) == 3


def test_charge() -> None:
    potential = potential_in(1.0, 0.529177)
    atoms = distorted_water()
    atoms.calc = PotentialCalculator(potential)
    assert atoms.get_charges().sum() == pytest.approx(0, abs=1e-12)
    atoms.info["charge"] = -1
    assert atoms.get_charges().sum() == pytest.approx(-1)
    atoms.calc = PotentialCalculator(potential, charge=2)
    assert atoms.get_charges().sum() == pytest.approx(2)


def test_what_is_not_predicted_is_not_there() -> None:
    config = toy_config(Modelhub__FF01__loss={"rmse": {"E": 1}}, Metrics={"rmse": {"E": 1}})
    names = ("ChargeConservation", "AtomicCharge2Dipole", "ElectrostaticEnergy", "Force")
    layers = config["Modelhub"]["FF01"]["layers"]
    config["Modelhub"]["FF01"]["layers"] = [entry for entry in layers if entry["name"] not in names]
    calculator = PotentialCalculator(build_potential(config_from_dict(config), "FF01"), Hartree_in_E=1, Bohr_in_R=1)
    atoms = distorted_water()
    atoms.calc = calculator
    assert calculator.implemented_properties == ["energy", "free_energy", "charges"]
    atoms.get_potential_energy()
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_forces()


def test_refusals() -> None:
    potential = potential_in(1.0, 0.529177)
    atoms = distorted_water()
    atoms.calc = PotentialCalculator(potential)
    atoms.pbc = True
    atoms.set_cell([9, 9, 9])
    with pytest.raises(DataError, match=r"the cell is periodic, but layer \d \(AtomicCharge2Dipole\) reads"):
        atoms.get_potential_energy()
    potential.domain = TrainingDomain(elements=(1, 8))
    other = molecule("CH4")
    other.calc = PotentialCalculator(potential)
    with pytest.raises(DataError, match="this potential was not trained on C, only on H, O"):
        other.get_potential_energy()
    empty = Atoms()
    empty.calc = PotentialCalculator(potential)
    with pytest.raises(DataError, match="there are no atoms"):
        empty.get_potential_energy()
    for skin in (-1, float("nan"), float("inf")):
        with pytest.raises(DataError, match=f"skin: {skin} is no distance"):
            PotentialCalculator(potential, skin=skin)
    potential.spec["build_params"] = {}
    with pytest.raises(DataError, match=r"does not say its units. Give Hartree_in_E"):
        PotentialCalculator(potential)


def test_what_is_refused_has_no_results() -> None:
    """Not those of the structure before, also after a call of ``calculate`` itself."""
    calculator, wrong = PotentialCalculator(potential_in(1.0, 0.529177)), distorted_water()
    calculator.calculate(distorted_water())
    wrong.positions[1] = wrong.positions[0]
    for ask in (calculator.calculate, calculator.get_potential_energy, calculator.get_forces):
        with pytest.raises(DataError, match="same place"):
            ask(wrong)


def test_it_can_be_made_in_inference_mode(tmp_path: Path) -> None:
    save_potential(potential_in(1.0, 0.529177), tmp_path / "best.safetensors", {})
    atoms = distorted_water()
    atoms.calc = PotentialCalculator(tmp_path)
    expected = atoms.get_forces()
    with torch.inference_mode():
        atoms.calc = PotentialCalculator(tmp_path)
        assert np.array_equal(atoms.get_forces(), expected)
        atoms.calc = PotentialCalculator(potential_in(1.0, 0.529177))
        assert np.array_equal(atoms.get_forces(), expected)


def test_what_has_no_volume_has_no_stress() -> None:
    slab = some_crystals()[0]
    slab.calc = PotentialCalculator(of_crystals())
    assert slab.get_stress().any()
    slab.set_cell([*slab.cell[:2], [0, 0, 0]])
    slab.pbc = [True, True, False]
    with pytest.raises(PropertyNotImplementedError):
        slab.get_stress()
    assert slab.get_forces().shape == (len(slab), 3)


@pytest.mark.parametrize("in_cell", [False, True])
def test_distances_never_seen_are_warned_of_once(in_cell: bool) -> None:
    potential = of_crystals() if in_cell else potential_in(1.0, 1.0)
    potential.spec["build_params"] = {"Hartree_in_E": 1.0, "Bohr_in_R": 1.0}
    length = potential.units.length
    assert length == pytest.approx(0.529177)
    potential.domain = TrainingDomain(shortest_distances={(1, 8): 0.9 / length, (8, 8): 1.4 / length})
    atoms = Atoms("OH", [[0, 0, 0], [0.95, 0, 0]], cell=[9.0, 9.0, 9.0], pbc=in_cell)
    atoms.calc = PotentialCalculator(potential)

    def said(x: float) -> list[str]:
        atoms.positions[1, 0] = x
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            atoms.get_potential_energy()
        return [str(warning.message) for warning in caught]

    assert said(0.95) == said(1.1) == []
    # less than a quarter of an Angstrom from where it was looked at
    assert said(0.8) == []
    expected = "atoms come closer than in the training data, where the potential has learned nothing: H-O "
    assert said(0.69) == [expected + "0.690 Å (0.900 Å there)."]
    assert said(0.4) == []
    # others at the same places
    atoms.calc = PotentialCalculator(potential)
    assert said(1.0) == []
    atoms.numbers[1] = 8
    assert said(1.0) == [expected.replace("H-O", "O-O") + "1.000 Å (1.400 Å there)."]
    atoms.numbers[1] = 1
    atoms.calc = PotentialCalculator(potential)
    # through the faces of the cell
    assert said(8.5) == ([expected + "0.500 Å (0.900 Å there)."] if in_cell else [])
    atoms.calc = PotentialCalculator(potential)
    far = "no atoms are as near as in the training data, by a factor of 1.89 (1.89: Bohr taken for Å)."
    assert said(0.9 * 1.89) == [far]
    # the other kind, once too
    assert said(0.69) == [expected + "0.690 Å (0.900 Å there)."]
    assert said(0.9 * 1.89) == said(0.4) == []


def test_distances_are_looked_at_when_the_cell_alone_changes() -> None:
    potential = of_crystals()
    potential.domain = TrainingDomain(shortest_distances={(29, 29): 1.9 / potential.units.length})
    atoms = Atoms("Cu", cell=2.5 * np.eye(3), pbc=True)
    atoms.calc = PotentialCalculator(potential)
    atoms.get_potential_energy()  # warnings are errors
    atoms.set_cell(1.5 * np.eye(3))
    with pytest.warns(UserWarning, match="atoms come closer than in the training data"):
        atoms.get_potential_energy()
    # so far apart that there is none within twice the shortest distance of the training
    atoms.calc = PotentialCalculator(potential)
    atoms.set_cell(2.55 * 1.89 * np.eye(3))
    with pytest.warns(UserWarning, match=r"no atoms are as near .* by a factor of 2.54 \(1.89: Bohr"):
        atoms.get_potential_energy()


def cluster(side: int = 4) -> Atoms:
    """Return molecules of water on a lattice, 64 of them: 192 atoms."""
    cells = np.stack(np.meshgrid(*[np.arange(side)] * 3), -1).reshape(-1, 3) * 3.0
    return sum((Atoms(distorted_water().numbers, distorted_water().positions + cell) for cell in cells), Atoms())


@pytest.mark.parametrize("side", [2, 4])  # fewer atoms than a tree is used for, and more
def test_a_kept_neighbor_list_changes_no_bit(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    potential = potential_in(1.0, 0.5291772108, "float32")
    searches: list[float] = []
    original = neighbor_search.find_edges

    def find_edges(Ra: torch.Tensor, N: torch.Tensor, cutoff: float) -> torch.Tensor:
        searches.append(cutoff)
        return original(Ra, N, cutoff)

    monkeypatch.setattr(pyg_nnp.inference.neighbors, "find_edges", find_edges)
    monkeypatch.setattr(pyg_nnp.potential.inputs, "find_edges", find_edges)
    with_skin, without = PotentialCalculator(potential, skin=1.0), PotentialCalculator(potential, skin=0.0)
    atoms, random = cluster(side), np.random.default_rng(0)
    for _ in range(12):
        atoms.positions += random.normal(scale=0.1, size=(len(atoms), 3))
        atoms.calc = with_skin
        forces = atoms.get_forces()
        atoms.calc = without
        assert np.array_equal(forces, atoms.get_forces())
    assert sum(cutoff < potential.reach + 0.5 for cutoff in searches) == 12
    assert 1 < len(searches) - 12 < 12


def test_an_atom_that_leaves_its_skin_is_noticed() -> None:
    potential = potential_in(1.0, 0.5291772108)
    atoms = cluster()
    atoms.calc = PotentialCalculator(potential, skin=1.0)
    atoms.get_forces()
    atoms.positions[0] += [9.5, 9.0, 9.2]
    forces = atoms.get_forces()
    atoms.calc = PotentialCalculator(potential, skin=0.0)
    assert np.array_equal(forces, atoms.get_forces())


def test_a_kept_list_has_all_pairs_that_come_within_the_cutoff() -> None:
    potential = potential_in(1.0, 0.5291772108)
    atoms, calculators = Atoms("OH"), [PotentialCalculator(potential, skin=skin) for skin in (1.0, 0.0)]
    cutoff = potential.reach * calculators[0].length_unit
    # nearly all of the skin is used before there is a new list
    for distance in np.arange(cutoff + 0.97, cutoff - 0.5, -0.01):
        atoms.positions = [[-distance / 2, 0, 0], [distance / 2, 0, 0]]  # both move
        forces = []
        for atoms.calc in calculators:
            forces.append(atoms.get_forces())
        assert np.array_equal(*forces), distance


def test_a_saved_potential_in_another_precision(tmp_path: Path) -> None:
    save_potential(potential_in(1.0, 0.5291772108, "float32"), tmp_path / "best.safetensors", {})
    atoms = distorted_water()
    results = []
    for dtype in (None, "float64"):
        atoms.calc = PotentialCalculator(tmp_path, dtype=dtype)
        results.append(atoms.get_potential_energy())
        assert atoms.calc.potential.dtype == (torch.float64 if dtype else torch.float32)
    assert results[0] == pytest.approx(results[1], rel=1e-5)
    assert results[0] != results[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_calculator_changes_nothing_of_the_potential_that_it_was_given(dtype: str) -> None:
    potential = potential_in(1.0, 0.5291772108, dtype).train()
    double = PotentialCalculator(potential, dtype="float64")
    single = PotentialCalculator(potential, dtype="float32")
    assert (double.potential.dtype, single.potential.dtype) == (torch.float64, torch.float32)
    assert potential.dtype == getattr(torch, dtype)
    assert potential.training


def test_nothing_that_is_done_to_a_potential_changes_its_calculators() -> None:
    potential = potential_in(1.0, 0.5291772108)
    atoms = distorted_water()
    atoms.calc = PotentialCalculator(potential)
    forces = atoms.get_forces()
    potential.float().train()
    with torch.no_grad():
        next(potential.parameters()).mul_(2.0)
    atoms.calc.reset()
    assert np.array_equal(atoms.get_forces(), forces)


def test_threads_with_one_potential_get_the_same_forces() -> None:
    """Each with a calculator, and all at once, so that the first evaluations meet."""
    potential, start = potential_in(1.0, 0.5291772108, "float32"), threading.Barrier(8)

    def forces(_: int) -> np.ndarray:
        atoms = distorted_water()
        atoms.calc = PotentialCalculator(potential)
        start.wait()
        return atoms.get_forces()

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(forces, range(8)))
    assert all(np.array_equal(one, found[0]) for one in found)


@pytest.mark.parametrize("shift", [(100.0, 0.0, 0.0), (5000.0, -5000.0, 3.0), (0.0, 0.0, -1e6)])
def test_single_precision_is_as_good_far_from_the_origin(shift: tuple[float, ...]) -> None:
    """Of a charged molecule, whose dipole moment is that about the origin of the data."""
    near = distorted_water(0.1)
    far = near.copy()
    far.positions += shift
    for atoms in (near, far):
        atoms.calc = PotentialCalculator(potential_in(1.0, 0.5291772108, "float32"), charge=1)
    assert far.get_potential_energy() == pytest.approx(near.get_potential_energy(), rel=1e-7)
    forces = near.get_forces()
    np.testing.assert_allclose(far.get_forces(), forces, rtol=0, atol=1e-6 * abs(forces).max())
    np.testing.assert_allclose(far.get_charges(), near.get_charges(), atol=1e-7)
    moved = far.get_dipole_moment() - near.get_dipole_moment()
    np.testing.assert_allclose(moved, shift, rtol=1e-6, atol=1e-6 * np.linalg.norm(shift))


def test_molecules_that_are_far_from_each_other_in_one_structure() -> None:
    """As parts of a solution are far from its center: each has the forces that it has alone."""
    water, shift = distorted_water(0.1), np.array([3000.0, 4000.0, 0.0])
    both = water + Atoms(water.numbers, water.positions + shift)
    for atoms in (water, both):
        atoms.calc = PotentialCalculator(without_coulomb())
    for part in (slice(0, 3), slice(3, 6)):
        forces = water.get_forces()
        np.testing.assert_allclose(both.get_forces()[part], forces, rtol=0, atol=1e-6 * abs(forces).max())


def without_coulomb() -> Potential:
    document = toy_config(Trainer__dtype="float32", Modelhub__FF01__loss={"rmse": {"E": 1, "Fa": 1}})
    document["Metrics"] = {"rmse": {"E": 1}}
    model = document["Modelhub"]["FF01"]
    model["build_params"] |= {"Hartree_in_E": 1.0, "Bohr_in_R": BOHR, "cutoff_sr": 4.0}
    left_out = ("ChargeConservation", "AtomicCharge2Dipole", "ElectrostaticEnergy")
    model["layers"] = [entry for entry in model["layers"] if entry["name"] not in left_out]
    return build_potential(config_from_dict(document), "FF01").eval()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("i", "j"), [(0, 1), (1, 2)])
def test_atoms_at_the_same_place_are_named(dtype: str, i: int, j: int) -> None:
    atoms = distorted_water()
    atoms.calc = PotentialCalculator(potential_in(1.0, 0.5291772108, dtype))
    atoms.get_forces()
    atoms.positions[j] = atoms.positions[i]
    # whatever is asked for, and whenever
    for ask in (atoms.get_potential_energy, atoms.get_forces, atoms.get_forces, atoms.get_charges):
        with pytest.raises(DataError, match=f"the atoms {i} and {j} are at the same place"):
            ask()
    atoms.positions[j] += 1.0
    assert np.isfinite(atoms.get_forces()).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("far", [1e30, -1e155, np.inf, np.nan])
def test_an_atom_that_flew_away_is_named(dtype: str, far: float) -> None:
    atoms = distorted_water()
    atoms.calc = PotentialCalculator(potential_in(1.0, 0.5291772108, dtype))
    atoms.positions[2, 1] = far
    if dtype == "float64" and far == 1e30:
        assert np.isfinite(atoms.get_forces()).all()
        return
    for ask in (atoms.get_potential_energy, atoms.get_forces):
        with pytest.raises(DataError, match=rf"atom 2.* at \(.*, {far:g}, .*shorter time step".replace("+", r"\+")):
            ask()


def test_crystals_have_energy_forces_and_stress_of_the_potential() -> None:
    """Of any units, kept while only little moves, as all new."""
    entries = [entry for entry in LAYER_ENTRIES if entry[0] not in MOLECULAR]
    potential = make_potential([*entries, ("Stress", {})])
    potential.spec["build_params"] = {"Hartree_in_E": 1.0, "Bohr_in_R": 1.0}
    energy, length = units.HARTREE_IN_EV, units.BOHR_IN_ANGSTROM
    calculators = [PotentialCalculator(potential, skin=skin) for skin in (0.0, 0.5)]
    for number, atoms in enumerate(some_crystals()):
        for step in range(4):
            moved = atoms.copy()
            moved.set_cell(atoms.cell * (1 + 0.01 * step), scale_atoms=True)
            moved.rattle(0.02, seed=step)
            data = periodic_data(moved)
            data.Ra, data.cell = data.Ra / length, data.cell / length
            expected = potential.eval()(data)
            for calculator in calculators:
                moved.calc = calculator
                np.testing.assert_allclose(moved.get_potential_energy(), float(expected["E"]) * energy, rtol=1e-12)
                np.testing.assert_allclose(moved.get_forces(), expected["Fa"] * (energy / length), atol=1e-10)
                stress = expected["S"][0] * (energy / length**3)
                np.testing.assert_allclose(moved.get_stress(), stress, atol=1e-10, err_msg=str(number))
