"""Forces and stress: derivatives by positions and strain, for molecules and cells."""

from itertools import product
from unittest import mock

import numpy as np
import pytest
import torch
from ase.calculators.lj import LennardJones
from ase.stress import full_3x3_to_voigt_6_stress
from crystal_checks import check_derivatives, check_descriptions
from crystals import periodic_data, some_crystals
from molecules import make_data, make_potential, some_molecules, with_options
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.errors import DataError
from pyg_nnp.functional.geometry import voigt
from pyg_nnp.layers import Core, Distance, EnergyReduce, Force, Stress
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.layers.cores import CORES
from pyg_nnp.potential.build import build_layers
from pyg_nnp.potential.potential import Potential

ELECTROSTATICS = [
    {},
    {"flavor": "SpookyNet"},
    {"cutoff_lr": 4.5},
    {"flavor": "SpookyNet", "cutoff_lr": 6.0, "dielectric_constant": 2.5},
]


@pytest.mark.parametrize(
    ("architecture", "options"), [*(("SchNet", options) for options in ELECTROSTATICS), *((name, {}) for name in CORES)]
)
def test_forces_are_minus_the_derivative(architecture: str, options: dict) -> None:
    potential = make_potential(with_options("ElectrostaticEnergy", **options), architecture).eval()
    steps = {2: -1 / 12, 1: 2 / 3, -1: -2 / 3, -2: 1 / 12}  # fourth-order central differences
    for data in some_molecules():
        forces = potential(data)["Fa"]
        moved = []
        for atom, axis, step in product(range(len(data.Za)), range(3), steps):
            moved.append(data.clone())
            moved[-1].Ra[atom, axis] += step * 1e-3
        energies = potential(Batch.from_data_list(moved))["E"].view(len(data.Za), 3, len(steps))
        numeric = -(energies * torch.tensor(list(steps.values()), dtype=torch.float64)).sum(dim=2) / 1e-3
        scale = max(float(forces.abs().max()), 1e-6)
        assert float((forces - numeric).abs().max()) / scale < 1e-6


def test_lone_atom_has_no_force() -> None:
    predicted = make_potential().eval()(make_data([2], np.zeros((1, 3))))
    assert predicted["Fa"].shape == (1, 3)
    assert torch.equal(predicted["Fa"], torch.zeros(1, 3, dtype=torch.float64))
    assert predicted["E"].shape == (1,)


def test_forces_of_pairs_are_added_up_in_the_precision_of_positions() -> None:
    """Those of many neighbors, which nearly cancel, are rounded once."""
    count, random = 1000, torch.Generator().manual_seed(0)
    pairs = torch.stack((torch.arange(1, count + 1), torch.zeros(count, dtype=torch.long)))  # (2, P)
    slopes = torch.randn(count, 3, generator=random)
    slopes = slopes - slopes.mean(dim=0)
    Vij, Ra = torch.ones(count, 3, requires_grad=True), torch.zeros(count + 1, 3, dtype=torch.float64).requires_grad_()
    forces = Force().eval()(Ra=Ra, pair_index=pairs, Vij=Vij, E=(slopes * Vij).sum().view(1))["Fa"]
    assert forces.dtype == torch.float32
    assert torch.equal(forces[0], slopes.double().sum(dim=0).float())
    assert torch.equal(forces[1:], -slopes)


@pytest.mark.parametrize("options", ELECTROSTATICS)
def test_forces_by_vectors_of_pairs_are_those_by_positions(options: dict, batch: Batch) -> None:
    """All layers in one graph that begins at the positions, from which vectors and distances are not cut off."""
    entries = with_options("ElectrostaticEnergy", **options)
    potential = make_potential([(n, {**o, "filters": "exact"} if n == "Core" else o) for n, o in entries]).eval()
    fields = potential.inputs_of(batch)
    fields["Ra"] = fields["Ra"].clone().requires_grad_()
    for layer in potential.layers[:-1]:
        fields |= layer(**{name: fields[name] for name in layer.reads})
    (gradient,) = torch.autograd.grad(fields["E"].sum(), fields["Ra"])
    forces = potential(batch)["Fa"]
    assert float(forces.abs().max()) > 0.1
    assert float((forces + gradient).abs().max()) < 1e-12 * float(forces.abs().max())


def test_forces_of_one_pair_by_hand() -> None:
    r"""A spring along the vector, :math:`E = |V|^2 / 2`, and a field on the positions, :math:`E = c \cdot R_0`."""
    Ra = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, -2.0]], dtype=torch.float64, requires_grad=True)
    pair_index, c = torch.tensor([[1], [0]]), torch.tensor([3.0, 0.0, 1.0])
    Vij = Distance()(Ra=Ra.detach(), edge_index=torch.tensor([[1, 0], [0, 1]]))["Vij"].requires_grad_()
    assert Vij.tolist() == [[1.0, 2.0, -2.0]]
    E = 0.5 * Vij.square().sum() + (c * Ra[0]).sum()
    Fa = Force().eval()(Ra=Ra, pair_index=pair_index, Vij=Vij, E=E[None])["Fa"]
    assert Fa.tolist() == [[-2.0, 2.0, -3.0], [-1.0, -2.0, 2.0]]


def test_a_pair_of_an_atom_and_its_image_has_no_force() -> None:
    Ra = torch.zeros(1, 3, requires_grad=True)
    Vij = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    Fa = Force()(Ra=Ra, pair_index=torch.tensor([[0], [0]]), Vij=Vij, E=Vij.square().sum()[None])["Fa"]
    assert not Fa.any()


def test_without_pairs_there_are_forces_of_what_depends_on_positions(batch: Batch) -> None:
    """Layers that search for no pairs get Distance in front by Force."""

    class Charges(Core):
        """Charges of the elements."""

        reads = ("Za",)
        writes = ("Qa",)

        def forward(self, Za: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"Qa": 0.1 * Za.double() - 0.5}

    entries = [("Core", {}), ("ElectrostaticEnergy", {}), ("EnergyReduce", {}), ("Force", {})]
    with mock.patch.dict(CORES, {"Charges": Charges}):
        options = {"cutoff_sr": 4.0, "Hartree_in_E": 1.0, "Bohr_in_R": 0.529}
        layers, _ = build_layers("Charges", options, entries)
    assert isinstance(layers[0], Distance)
    potential = Potential(layers).double().eval()
    Ra = batch.Ra.clone().requires_grad_()
    Qa = 0.1 * batch.Za.double() - 0.5
    Ea = potential.layers[2](Qa=Qa, Ra=Ra, N=batch.N, batch=batch.batch)["Ea_electrostatic"]
    (gradient,) = torch.autograd.grad(Ea.sum(), Ra)
    torch.testing.assert_close(potential(batch)["Fa"], -gradient, rtol=1e-12, atol=1e-12)


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
    for name in ("E", "Fa", "Ea", "S"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-12, atol=1e-12)
    assert not found["S"].any()


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
