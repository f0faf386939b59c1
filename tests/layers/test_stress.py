"""Periodic systems: energies that do not depend on how a crystal is described, forces and stress by differences."""

import numpy as np
import pytest
import torch
from ase.calculators.lj import LennardJones
from ase.stress import full_3x3_to_voigt_6_stress
from crystal_checks import check_derivatives, check_descriptions
from crystals import periodic_data, some_crystals
from molecules import make_data, make_potential, with_options
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.errors import DataError
from pyg_nnp.functional.geometry import voigt
from pyg_nnp.layers import Distance, EnergyReduce, Force, Stress
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.layers.cores import CORES
from pyg_nnp.potential.potential import Potential

MOLECULAR = ("ChargeConservation", "AtomicCharge2Dipole", "ElectrostaticEnergy")


def potential_of(architecture: str = "SchNet", filters: str = "table") -> Potential:
    entries = [entry for entry in with_options("Core", filters=filters) if entry[0] not in MOLECULAR]
    return make_potential([*entries, ("Stress", {})], architecture).eval()


@pytest.mark.parametrize("architecture", CORES)
def test_energy_does_not_depend_on_how_a_system_is_described(architecture: str) -> None:
    check_descriptions(potential_of(architecture), some_crystals())


@pytest.mark.parametrize("filters", ["table", "exact"])
@pytest.mark.parametrize("architecture", CORES)
def test_forces_and_stress_are_derivatives(architecture: str, filters: str) -> None:
    check_derivatives(potential_of(architecture, filters), some_crystals())


@pytest.mark.parametrize("architecture", CORES)
def test_a_batch_gives_what_its_systems_give_alone(architecture: str) -> None:
    potential = potential_of(architecture)
    data = [periodic_data(atoms) for atoms in some_crystals()]
    together = potential(Batch.from_data_list(data))
    alone = [potential(one) for one in data]
    for name in ("E", "Fa", "S"):
        torch.testing.assert_close(together[name], torch.cat([one[name] for one in alone]), rtol=1e-12, atol=1e-12)


def test_a_cell_that_is_not_periodic_is_a_molecule() -> None:
    potential, water = potential_of(), some_crystals()[5]
    expected = potential(make_data(water.numbers.tolist(), water.positions))
    water.set_cell([3.0, 3.0, 3.0])
    found = potential(periodic_data(water))
    for name in ("E", "Fa", "Ea"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-12, atol=1e-12)


def test_gradients_of_a_loss_on_stress_reach_the_parameters_and_are_derivatives() -> None:
    potential = potential_of(filters="exact").train()
    batch = Batch.from_data_list([periodic_data(atoms) for atoms in some_crystals()])

    def loss() -> Tensor:
        predicted = potential(batch)
        return 100 * predicted["S"].square().sum() + predicted["Fa"].square().sum()

    loss().backward(inputs=list(potential.parameters()))
    rng = np.random.default_rng(0)
    for name, parameter in potential.named_parameters():
        if name in ("layers.4.lin2.bias", "layers.5.shift"):
            continue  # what is added to each atom moves no force
        assert float(parameter.grad.abs().max()) > 0, name
        place = tuple(rng.integers(0, size) for size in parameter.shape)
        place = place if "weight" not in name or parameter.shape[0] != 95 else (14, *place[1:])
        found, values = float(parameter.grad[place]), []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                parameter[place] += step
            values.append(float(loss().detach()))
            with torch.no_grad():
                parameter[place] -= step
        numeric = (values[0] - values[1]) / 2e-5
        assert abs(found - numeric) <= 1e-5 * max(abs(numeric), 1e-2 * float(parameter.grad.abs().max())) + 1e-9, name


class LennardJonesEnergy(Layer):
    """A user's layer: half of each pair's energy on either atom, shifted to 0 at the cutoff."""

    reads = ("Dij", "pair_index", "Za")
    writes = ("Ea_lj",)
    energy_terms = ("Ea_lj",)
    reach = 5.0

    def forward(self, Dij: Tensor, pair_index: Tensor, Za: Tensor) -> Fields:
        def energy(r: Tensor) -> Tensor:
            return 4 * 0.3 * ((2.2 / r) ** 12 - (2.2 / r) ** 6)

        shift = energy(torch.tensor(self.reach, dtype=Dij.dtype))
        half = torch.where(Dij < self.reach, 0.5 * (energy(Dij) - shift), 0.0)  # (P,)
        Ea = half.new_zeros(len(Za))
        return {"Ea_lj": Ea.index_add(0, pair_index[0], half).index_add(0, pair_index[1], half)}  # (A,)


def test_lennard_jones_beside_that_of_ase() -> None:
    potential = Potential([Distance(), LennardJonesEnergy(), EnergyReduce(["Ea_lj"]), Force(), Stress()]).eval()
    for atoms in some_crystals():
        predicted = potential(periodic_data(atoms))
        # of ASE's: all images within the cutoff, and the same shift
        atoms.calc = LennardJones(sigma=2.2, epsilon=0.3, rc=5.0, smooth=False)
        np.testing.assert_allclose(predicted["E"][0], atoms.get_potential_energy(), rtol=1e-9)
        forces = atoms.get_forces()
        np.testing.assert_allclose(predicted["Fa"], forces, atol=1e-9 * max(1, np.abs(forces).max()))
        if atoms.cell.rank == 3:
            stress = atoms.get_stress()
            np.testing.assert_allclose(predicted["S"][0], stress, atol=1e-9 * max(1, np.abs(stress).max()))


def test_order_of_the_components_is_that_of_ase() -> None:
    matrix = np.arange(9.0).reshape(3, 3)
    matrix = matrix + matrix.T
    assert voigt(torch.tensor(matrix)[None])[0].tolist() == full_3x3_to_voigt_6_stress(matrix).tolist()


def test_layers_of_molecules_are_refused_in_cells() -> None:
    silicon, water = some_crystals()[0], some_crystals()[5]
    potential = make_potential().eval()
    with pytest.raises(
        DataError, match=r"cell is periodic, but layer \d \(AtomicCharge2Dipole\) reads the positions, but not the cell"
    ):
        potential(periodic_data(silicon))
    expected = potential(make_data(water.numbers.tolist(), water.positions))["E"]
    torch.testing.assert_close(potential(periodic_data(water))["E"], expected)


def test_pairs_at_any_distance_are_refused_in_cells() -> None:
    class All(LennardJonesEnergy):
        reach = float("inf")

    potential = Potential([Distance(), All(), EnergyReduce(["Ea_lj"])]).eval()
    with pytest.raises(DataError, match=r"layer 1 \(All\) reads pairs at any distance, .* attribute reach"):
        potential(periodic_data(some_crystals()[0]))


def test_lists_without_translations_are_refused_in_cells() -> None:
    data = periodic_data(some_crystals()[0])
    data.edge_index = torch.tensor([[0, 1], [1, 0]])
    with pytest.raises(DataError, match=r"there is no Tij beside edge_index. Give whole numbers of shape \(2, 3\)"):
        potential_of()(data)
    data.Tij = torch.tensor([[0, 0, 1], [0, 0, 1]])
    with pytest.raises(DataError, match="pairs in one direction alone: 2"):
        potential_of()(data)
