"""The ASE calculator: the potential's own numbers in eV and Å, whatever the units of training."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces
from molecules import make_data
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
    with pytest.raises(DataError, match=r"the cell is periodic.* unwrap it and set atoms\.pbc = False"):
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
    potential.spec["build_params"] = {}
    with pytest.raises(DataError, match=r"does not say its units. Give Hartree_in_E"):
        PotentialCalculator(potential)


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

    monkeypatch.setattr(pyg_nnp.inference.calculator, "find_edges", find_edges)
    monkeypatch.setattr(pyg_nnp.potential.potential, "find_edges", find_edges)
    with_skin, without = PotentialCalculator(potential, skin=1.0), PotentialCalculator(potential, skin=0.0)
    atoms, random = cluster(side), np.random.default_rng(0)
    for _ in range(12):
        atoms.positions += random.normal(scale=0.1, size=(len(atoms), 3))
        atoms.calc = with_skin
        forces = atoms.get_forces()
        atoms.calc = without
        assert np.array_equal(forces, atoms.get_forces())
    reach = potential.reach
    assert searches.count(reach) == 12
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
