"""Coulomb energies against formulas worked out by hand."""

import logging
import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from crystal_checks import check_derivatives, check_descriptions, energies
from crystals import periodic_data, some_crystals
from molecules import make_data, make_potential, with_options
from torch import Tensor
from torch_geometric.data import Batch, Data

from pyg_nnp.errors import DataError
from pyg_nnp.functional.coulomb import damped_coulomb, shifted_force
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.layers import Distance, ElectrostaticEnergy, EnergyReduce, Force, Stress
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.potential.potential import Potential


def coulomb_by_hand(q: np.ndarray, R: np.ndarray, cutoff: float, bohr: float, flavor: str) -> float:
    """Sum over pairs, with formulas as in the papers."""
    shield, energy = bohr / 0.529177210544, 0.0
    for i in range(len(q)):
        for j in range(i):
            r = float(np.linalg.norm(R[i] - R[j]))
            if flavor == "PhysNet":
                x = 2 * r / cutoff
                f = 1 - 6 * x**5 + 15 * x**4 - 10 * x**3 if x < 1 else 0.0
            else:
                x = (r - cutoff / 4) / (cutoff / 2)
                f = 1.0 if x <= 0 else 0.0 if x >= 1 else None
                if f is None:
                    up, down = math.exp(-1 / x), math.exp(-1 / (1 - x))
                    f = down / (down + up)
            energy += q[i] * q[j] * (f / math.sqrt(r**2 + shield**2) + (1 - f) / r)
    return energy


@pytest.mark.parametrize("flavor", ["PhysNet", "SpookyNet"])
@pytest.mark.parametrize("bohr", [0.529177210544, 1.0])
def test_electrostatic_energy_by_hand(molecules: list[Data], flavor: str, bohr: float) -> None:
    data = molecules[0]
    R = data.Ra * bohr / 0.529177210544
    Qa = torch.randn(len(R), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    layer = ElectrostaticEnergy(4.0, Hartree_in_E=27.2, Bohr_in_R=bohr, flavor=flavor, dielectric_constant=2.0)
    written = layer(Qa=Qa, Ra=R, N=data.N, batch=torch.zeros_like(data.Za))
    expected = 27.2 * bohr / 2.0 * coulomb_by_hand(Qa.numpy(), R.numpy(), 4.0, bohr, flavor)
    assert float(written["Ea_electrostatic"].sum()) == pytest.approx(expected, rel=1e-12)


def test_two_far_charges_feel_coulombs_law() -> None:
    """Two unit charges 10 Å apart: 14.3996 eV Å / 10 Å."""
    layer = ElectrostaticEnergy(5.0, Hartree_in_E=27.211386245981, Bohr_in_R=0.529177210544)
    written = layer(
        Qa=torch.tensor([1.0, -1.0], dtype=torch.float64),
        Ra=torch.tensor([[0.0, 0.0, 0.0], [0.0, 6.0, 8.0]], dtype=torch.float64),
        N=torch.tensor([2]),
        batch=torch.zeros(2, dtype=torch.int64),
    )
    assert float(written["Ea_electrostatic"].sum()) == pytest.approx(-1.43996, rel=1e-5)


@pytest.mark.parametrize("flavor", ["PhysNet", "SpookyNet"])
def test_electrostatic_energy_with_a_cutoff_by_hand(molecules: list[Data], batch: Batch, flavor: str) -> None:
    """Energies and forces of each atom, from the slope of each pair; some pairs are beyond the cutoff."""
    charges = torch.randn(len(batch.Za), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    Ra = batch.Ra.clone().requires_grad_()
    layer = ElectrostaticEnergy(3.0, 2.0, 0.529177210544, cutoff_lr=3.7, flavor=flavor)
    Ea = layer(Qa=charges, Ra=Ra, N=batch.N, batch=batch.batch)["Ea_electrostatic"]
    (gradient,) = torch.autograd.grad(Ea.sum(), Ra)
    energies, forces, beyond = torch.zeros_like(charges), torch.zeros_like(batch.Ra), 0
    starts = np.cumsum([0, *(len(data.Za) for data in molecules)])
    for first, last in pairwise(starts):
        for i, j in combinations(range(first, last), 2):
            vector = batch.Ra[i] - batch.Ra[j]
            r = vector.norm()[None].requires_grad_()
            pair = 2.0 * 0.529177210544 * charges[i] * charges[j]
            pair = pair * shifted_force(r, damped_coulomb(r, 3.0, 1.0, flavor), 3.7)
            (slope,) = torch.autograd.grad(pair, r)
            energies[[i, j]] += 0.5 * pair.detach()
            forces[i] -= slope * vector / r.detach()
            forces[j] += slope * vector / r.detach()
            beyond += int(r > 3.7)
    assert beyond > 10
    torch.testing.assert_close(Ea.detach(), energies, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(-gradient, forces, rtol=1e-11, atol=1e-11)


class GivenCharges(Layer):
    """A charge for each element."""

    reads = ("Za",)
    writes = ("Qa",)

    def __init__(self, charges: dict[int, float]) -> None:
        super().__init__()
        self.charges = charges

    def forward(self, Za: Tensor) -> Fields:
        return {"Qa": torch.tensor([self.charges[number] for number in Za.tolist()], dtype=torch.float64)}


def potential_of_charges(cutoff: float = 5.0, **charges: float) -> Potential:
    given = GivenCharges({Atoms(symbol).numbers[0]: charge for symbol, charge in charges.items()})
    coulomb = ElectrostaticEnergy(cutoff, Hartree_in_E=1.0, Bohr_in_R=1.0)
    return Potential([Distance(), given, coulomb, EnergyReduce(["Ea_electrostatic"]), Force(), Stress()]).eval()


def learned_charges(filters: str = "table") -> Potential:
    """Return a potential whose charges depend on the positions, and its systems: crystals and a molecule."""
    entries = [entry for entry in with_options("Core", filters=filters) if entry[0] != "AtomicCharge2Dipole"]
    return make_potential([*entries, ("Stress", {})]).eval()


def all_but_wires() -> list[Atoms]:
    return [atoms for atoms in some_crystals() if atoms.pbc.sum() != 1]


# Madelung constants of the nearest distance; Johnson and Pitzer, and Sakamoto, as the CRC Handbook lists them
@pytest.mark.parametrize(
    ("crystal", "charges", "nearest", "constant"),
    [
        (bulk("NaCl", "rocksalt", a=5.64), {"Na": 1, "Cl": -1}, 5.64 / 2, 1.74756),
        (bulk("CsCl", "cesiumchloride", a=4.12), {"Cs": 1, "Cl": -1}, 4.12 * 3**0.5 / 2, 1.76267),
        (bulk("ZnS", "zincblende", a=5.41), {"Zn": 1, "S": -1}, 5.41 * 3**0.5 / 4, 1.63806),
        (bulk("CaF2", "fluorite", a=5.46), {"Ca": 2, "F": -1}, 5.46 * 3**0.5 / 4, 5.03879),
    ],
)
def test_madelung_constants(crystal: Atoms, charges: dict[str, float], nearest: float, constant: float) -> None:
    # no damping: that of a cutoff of 4 ends at 2, below the nearest distance
    predicted = potential_of_charges(cutoff=4.0, **charges)(periodic_data(crystal))
    E = float(predicted["E"][0])
    assert -E * nearest == pytest.approx(constant, rel=1e-5)
    # an energy of 1 / r has the stress E / 3 V by the virial theorem, in the sign of a pull
    expected = torch.tensor([-E / (3 * crystal.get_volume())] * 3 + [0.0] * 3, dtype=torch.float64)
    torch.testing.assert_close(predicted["S"][0], expected, rtol=1e-10, atol=1e-12)


def test_one_charge_in_its_background() -> None:
    """A simple cubic lattice of charges: -1.418648739 in units of 1 / a for half of each, Nijboer and de Wette 1957."""
    predicted = potential_of_charges(cutoff=4.0, Na=1.0)(periodic_data(Atoms("Na", cell=[3.0, 3.0, 3.0], pbc=True)))
    assert float(predicted["E"][0]) * 3.0 == pytest.approx(-1.4186487397, rel=1e-9)


@pytest.mark.parametrize("cutoff", [3.0, 8.0])
def test_energy_does_not_depend_on_the_split_of_the_sum(cutoff: float) -> None:
    """Damping ends below the shortest distance for these cutoffs, so nothing else depends on them."""
    salt = bulk("NaCl", "rocksalt", a=9.0)
    salt.rattle(0.1, seed=1)
    expected = potential_of_charges(cutoff=6.0, Na=0.8, Cl=-0.5)(periodic_data(salt))
    found = potential_of_charges(cutoff=cutoff, Na=0.8, Cl=-0.5)(periodic_data(salt))
    for name in ("E", "Fa", "S"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("flavor", ["PhysNet", "SpookyNet"])
def test_damping_is_that_of_molecules(flavor: str) -> None:
    """A water molecule in a larger and larger cell, neutral and thus with images that matter less by the cube."""
    water = some_crystals()[5]
    layers = [
        entry for entry in with_options("ElectrostaticEnergy", flavor=flavor) if entry[0] != "AtomicCharge2Dipole"
    ]
    potential = make_potential(layers).eval()
    alone = potential(make_data(water.numbers.tolist(), water.positions))["E"]
    without = make_potential([entry for entry in layers if entry[0] != "ElectrostaticEnergy"]).eval()
    missing = float((alone - without(make_data(water.numbers.tolist(), water.positions))["E"]).abs())
    differences = []
    for size in (20.0, 40.0):
        water.set_cell([size] * 3)
        water.pbc = True
        differences.append(float((potential(periodic_data(water))["E"] - alone).abs()))
    assert differences[1] < 1e-4 * missing
    assert differences[0] / differences[1] == pytest.approx(8.0, rel=0.1)


def test_energy_in_cells_does_not_depend_on_how_they_are_described() -> None:
    check_descriptions(learned_charges(), all_but_wires())
    check_descriptions(
        potential_of_charges(Si=0.3, Na=0.7, Cl=-0.7, Cu=0.4, C=0.2, H=-0.1, O=-0.4, Al=0.2), all_but_wires()
    )


@pytest.mark.parametrize("filters", ["table", "exact"])
def test_forces_and_stress_in_cells_are_derivatives(filters: str) -> None:
    check_derivatives(learned_charges(filters), all_but_wires())


def test_forces_and_stress_of_given_charges_are_derivatives() -> None:
    potential = potential_of_charges(Si=0.3, Na=0.7, Cl=-0.7, Cu=0.4, C=0.2, H=-0.1, O=-0.4, Al=0.2)
    # by symmetry there is no force in a cell of one atom, nor a shear
    check_derivatives(potential, [atoms for atoms in all_but_wires() if len(atoms) > 1])


def test_a_batch_of_cells_and_molecules_gives_what_they_give_alone() -> None:
    potential, systems = learned_charges(), all_but_wires()
    together = potential(Batch.from_data_list([periodic_data(atoms) for atoms in systems]))
    alone = [potential(periodic_data(atoms)) for atoms in systems]
    for name in ("E", "Fa", "S", "Qa"):
        torch.testing.assert_close(together[name], torch.cat([one[name] for one in alone]), rtol=1e-11, atol=1e-11)


def test_gradients_of_a_loss_on_forces_and_stress_in_cells_are_derivatives() -> None:
    potential = learned_charges("exact").train()
    batch = Batch.from_data_list([periodic_data(atoms) for atoms in all_but_wires()])

    def loss() -> Tensor:
        predicted = potential(batch)
        return 100 * predicted["S"].square().sum() + predicted["Fa"].square().sum()

    loss().backward(inputs=list(potential.parameters()))
    weight = potential.layers[4].lin2.weight  # energy and charge of each atom
    for place in ((1, 3), (0, 5)):
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight[place] += step
            values.append(float(loss().detach()))
            with torch.no_grad():
                weight[place] -= step
        assert float(weight.grad[place]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6)


def test_supercells_of_a_salt_in_single_precision_through_the_calculator() -> None:
    calculator = PotentialCalculator(
        potential_of_charges(Na=0.9, Cl=-0.9), dtype="float32", Hartree_in_E=1, Bohr_in_R=1
    )
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    salt.rattle(0.1, seed=2)
    salt.set_cell(salt.cell @ [[1.02, 0.01, 0], [0, 0.99, 0], [0.02, 0, 1]], scale_atoms=True)
    E, found = (calculator.get_potential_energy(atoms) for atoms in (salt, salt * (2, 2, 2)))
    assert found / 8 == pytest.approx(E, rel=1e-6)


def test_single_precision_in_cells() -> None:
    systems = all_but_wires()
    expected = learned_charges()(Batch.from_data_list([periodic_data(atoms) for atoms in systems]))
    single = learned_charges().float()
    found = single(Batch.from_data_list([periodic_data(atoms, torch.float32) for atoms in systems]))
    for name in ("E", "Fa", "S", "Qa"):
        assert float((found[name] - expected[name]).abs().max()) < 1e-5 * float(expected[name].abs().max()), name


def test_background_of_charged_cells_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    salt = bulk("NaCl", "rocksalt", a=5.64)
    with caplog.at_level(logging.INFO):
        potential_of_charges(Na=1.0, Cl=-1.0)(periodic_data(salt))
        assert not caplog.records
        potential = potential_of_charges(Na=1.0, Cl=-0.5)
        potential(periodic_data(salt))
        potential(periodic_data(salt))
    (record,) = caplog.records
    assert "the charges of a cell add up to 0.5 in magnitude; a uniform background" in record.getMessage()


def test_slabs_are_what_bulk_with_much_vacuum_is(caplog: pytest.LogCaptureFixture) -> None:
    """Whose images in the third direction matter less by its inverse, as those of a plate's dipole do."""
    slab = bulk("NaCl", "rocksalt", a=5.0, cubic=True)
    slab.rattle(0.2, seed=3)
    slab.pbc = [True, False, True]
    charges = {"Na": 0.9, "Cl": -0.9}
    alone, with_images = potential_of_charges(**charges)(periodic_data(slab)), []
    for vacuum in (40.0, 80.0):
        slab.set_cell([5.0, vacuum, 5.0])
        slab.pbc = True
        with_images.append(potential_of_charges(**charges)(periodic_data(slab)))
    for name in ("E", "Fa"):
        first, second = (images[name] - alone[name] for images in with_images)
        assert float(second.abs().max()) > 1e-4
        torch.testing.assert_close(first, 2 * second, rtol=1e-6, atol=1e-10)
    assert not caplog.records


def test_wires_are_refused() -> None:
    wire = some_crystals()[4]
    with pytest.raises(
        DataError, match=r"periodic, but in one direction alone, and layer 2 \(ElectrostaticEnergy\) sums"
    ):
        potential_of_charges(C=0.1, O=-0.1)(periodic_data(wire))
    wire.set_cell(np.diag([9.0, 9.0, 9.0]))
    wire.pbc = True
    assert energies(potential_of_charges(C=0.1, O=-0.1), [wire]).isfinite().all()


def test_a_cutoff_of_the_interaction_is_refused_in_cells() -> None:
    potential = make_potential(
        [e for e in with_options("ElectrostaticEnergy", cutoff_lr=9.0) if e[0] != "AtomicCharge2Dipole"]
    ).eval()
    with pytest.raises(DataError, match=r"layer \d \(ElectrostaticEnergy\) ends at cutoff_lr.*Leave cutoff_lr out"):
        potential(periodic_data(some_crystals()[0]))
    assert energies(potential, [some_crystals()[5]]).isfinite().all()
