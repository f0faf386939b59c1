"""Layers against formulas worked out by hand, against PyG's SchNet and against central differences."""

import math
from collections.abc import Callable, Iterator
from itertools import combinations, pairwise, product

import numpy as np
import pytest
import torch
from ase.data import atomic_masses
from molecules import make_data, make_potential, some_molecules, with_options
from scipy.spatial.transform import Rotation
from torch_geometric.data import Batch, Data
from torch_geometric.nn.models import SchNet

from pyg_nnp.functional.coulomb import damped_coulomb, shifted_force
from pyg_nnp.functional.cutoff import cosine_cutoff, polynomial_cutoff, smooth_switch
from pyg_nnp.functional.geometry import sum_over_atoms
from pyg_nnp.functional.radial import gaussian_basis
from pyg_nnp.layers import AtomicCharge2Dipole, ChargeConservation, ElectrostaticEnergy, EnergyReduce
from pyg_nnp.layers.base import Layer
from pyg_nnp.potential.potential import Potential

ELECTROSTATICS = [
    {},
    {"flavor": "SpookyNet"},
    {"cutoff_lr": 4.5},
    {"flavor": "SpookyNet", "cutoff_lr": 6.0, "dielectric_constant": 2.5},
]


def copy_into_pyg(potential: Potential, interaction_graph: Callable) -> SchNet:
    """Return PyG's SchNet with the weights of a potential, its readout that of the energy column."""
    ours = potential.state_dict()
    core = next(i for i, layer in enumerate(potential.layers) if type(layer).__name__ == "SchNetCore")
    embedding = next(i for i, layer in enumerate(potential.layers) if type(layer).__name__ == "RandomAtomEmbedding")
    width, filters = ours[f"layers.{core}.interactions.0.conv.lin1.weight"].T.shape
    gaussians = ours[f"layers.{core}.interactions.0.filter_network.lin1.weight"].shape[1]
    count = len(potential.layers[core].interactions)
    theirs = SchNet(width, filters, count, gaussians, cutoff=4.0, interaction_graph=interaction_graph).double()
    weights = theirs.state_dict()
    weights["embedding.weight"][: len(ours[f"layers.{embedding}.weight"])] = ours[f"layers.{embedding}.weight"]
    names = {"filter_network.lin1": ["mlp.0", "conv.nn.0"], "filter_network.lin2": ["mlp.2", "conv.nn.2"]}
    for n in range(count):
        for name, value in ours.items():
            prefix = f"layers.{core}.interactions.{n}."
            if name.startswith(prefix):
                module, _, kind = name.removeprefix(prefix).rpartition(".")
                for target in names.get(module, [module]):
                    weights[f"interactions.{n}.{target}.{kind}"] = value
    for kind in ("weight", "bias"):
        weights[f"lin1.{kind}"] = ours[f"layers.{core}.lin1.{kind}"]
        weights[f"lin2.{kind}"] = ours[f"layers.{core}.lin2.{kind}"][:1]
    theirs.load_state_dict(weights)
    return theirs


@pytest.fixture
def double() -> Iterator[None]:
    """Let PyG compute its constants (centers, ln 2) in double precision; made in single, they are off by 1e-8."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_atomic_energies_are_those_of_pyg(batch: Batch, double: None) -> None:
    entries = with_options("Core", filters="exact")
    without_affine = [entry for entry in entries if entry[0] != "AtomicAffine"]
    potential = make_potential(without_affine).eval()

    def interaction_graph(Ra: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        j, i = batch.edge_index
        r = (Ra[j] - Ra[i]).norm(dim=1)
        return batch.edge_index[:, r < 4.0], r[r < 4.0]

    # as if each atom were a molecule, so that PyG sums up nothing
    expected = copy_into_pyg(potential, interaction_graph)(batch.Za, batch.Ra, torch.arange(len(batch.Za)))[:, 0]
    torch.testing.assert_close(potential(batch)["Ea"], expected, rtol=1e-10, atol=1e-10)
    assert expected.std() > 0.01


@pytest.mark.parametrize("options", ELECTROSTATICS)
def test_forces_are_minus_the_derivative(options: dict) -> None:
    potential = make_potential(with_options("ElectrostaticEnergy", **options)).eval()
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


def test_batch_gives_what_molecules_give_alone(molecules: list[Data], batch: Batch) -> None:
    potential = make_potential().eval()
    together = potential(batch)
    alone = [potential(data) for data in molecules]
    assert set(together) == {"E", "Ea", "Fa", "Qa", "M2", "Q"}
    for name, value in together.items():
        torch.testing.assert_close(value, torch.cat([one[name] for one in alone]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_charges_add_up(dtype: torch.dtype) -> None:
    batch = Batch.from_data_list(some_molecules(dtype))
    predicted = make_potential(dtype=dtype).eval()(batch)
    total = sum_over_atoms(predicted["Qa"], batch.batch, batch.num_graphs)
    assert float((total - batch.Q).abs().max()) < 1e-6
    assert float((predicted["Q"] - batch.Q).abs().max()) > 1e-3  # before the correction they do not


def orthogonal_matrices() -> list[np.ndarray]:
    rotation = Rotation.from_euler("xyz", [0.4, 1.3, -2.2]).as_matrix()
    return [rotation, -rotation, np.diag([1.0, 1.0, -1.0])]


@pytest.mark.parametrize("matrix", orthogonal_matrices())
def test_rotations_and_reflections(batch: Batch, matrix: np.ndarray) -> None:
    potential = make_potential().eval()
    Q = torch.tensor(matrix)
    turned = batch.clone()
    turned.Ra = batch.Ra @ Q.T
    before, after = potential(batch), potential(turned)
    for name in ("E", "Ea", "Qa", "Q"):
        torch.testing.assert_close(after[name], before[name])
    for name in ("Fa", "M2"):
        torch.testing.assert_close(after[name], before[name] @ Q.T)


@pytest.mark.parametrize("origin", ["lab", "center_of_mass", "center_of_nuclear_charge"])
def test_translations(batch: Batch, origin: str) -> None:
    potential = make_potential(with_options("AtomicCharge2Dipole", origin=origin)).eval()
    shift = torch.tensor([3.0, -7.0, 1.5], dtype=torch.float64)
    moved = batch.clone()
    moved.Ra = batch.Ra + shift
    before, after = potential(batch), potential(moved)
    for name in ("E", "Ea", "Fa", "Qa", "Q"):
        torch.testing.assert_close(after[name], before[name])
    # the dipole of an ion moves with it relative to a fixed origin
    expected = before["M2"] + (batch.Q[:, None] * shift if origin == "lab" else 0)
    torch.testing.assert_close(after["M2"], expected)


def test_permutations(molecules: list[Data]) -> None:
    potential = make_potential().eval()
    data = molecules[0]
    order = torch.randperm(len(data.Za), generator=torch.Generator().manual_seed(0))
    shuffled = data.clone()
    shuffled.Ra, shuffled.Za = data.Ra[order], data.Za[order]
    before, after = potential(data), potential(shuffled)
    for name in ("E", "M2", "Q"):
        torch.testing.assert_close(after[name], before[name])
    for name in ("Ea", "Fa", "Qa"):
        torch.testing.assert_close(after[name], before[name][order])


def test_order_and_direction_of_edges_do_not_matter(molecules: list[Data]) -> None:
    potential = make_potential().eval()
    data = molecules[0]
    other = data.clone()
    order = torch.randperm(data.edge_index.shape[1], generator=torch.Generator().manual_seed(0))
    other.edge_index = data.edge_index.flip(0)[:, order]
    torch.testing.assert_close(potential(other)["Fa"], potential(data)["Fa"])


def test_same_data_in_other_units_gives_the_same_potential() -> None:
    """Lengths in Bohr instead of Å, energies in eV instead of Hartree."""
    bohr, hartree = 1 / 0.5291772108, 27.211386
    angstrom_hartree = make_potential().eval()
    other = make_potential(cutoff_sr=4.0 * bohr, Hartree_in_E=hartree, Bohr_in_R=1.0).eval()
    parameters = angstrom_hartree.state_dict()
    affine = next(name for name in parameters if name.endswith(".scale")).rpartition(".")[0]
    for kind in ("scale", "shift"):  # atomic energies in eV
        parameters[f"{affine}.{kind}"] = parameters[f"{affine}.{kind}"] * torch.tensor(
            [hartree, 1.0], dtype=torch.float64
        )
    other.load_state_dict(parameters)
    batch = Batch.from_data_list(some_molecules())
    in_bohr = batch.clone()
    in_bohr.Ra = batch.Ra * bohr
    ours, theirs = angstrom_hartree(batch), other(in_bohr)
    torch.testing.assert_close(theirs["E"], ours["E"] * hartree, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(theirs["Fa"], ours["Fa"] * hartree / bohr, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(theirs["Qa"], ours["Qa"])
    torch.testing.assert_close(theirs["M2"], ours["M2"] * bohr)


def test_gradients_of_a_loss_on_forces_reach_every_parameter(batch: Batch) -> None:
    potential = make_potential().train()
    potential(batch)["Fa"].square().sum().backward()
    for name, parameter in potential.named_parameters():
        if name.endswith(".shift"):  # a constant per element moves charges alone, and these the Coulomb forces
            assert parameter.grad[:, 1].abs().max() > 0
        elif name.endswith("lin2.bias") and parameter.shape == (2,):
            continue  # the same for all atoms: ChargeConservation removes the charge, and the energy has no force
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_evaluation_keeps_no_graph(batch: Batch) -> None:
    predicted = make_potential().eval()(batch)
    assert not any(value.requires_grad for value in predicted.values())
    with torch.no_grad():
        again = make_potential().eval()(batch)
    assert torch.equal(again["Fa"], predicted["Fa"])


@pytest.mark.parametrize("origin", ["lab", "center_of_mass", "center_of_nuclear_charge"])
def test_dipole_is_a_sum_by_hand(batch: Batch, molecules: list[Data], origin: str) -> None:
    generator = torch.Generator().manual_seed(1)
    Qa = torch.randn(len(batch.Za), generator=generator, dtype=torch.float64)
    layer = AtomicCharge2Dipole(origin).double()
    M2 = layer(Qa=Qa, Ra=batch.Ra, Za=batch.Za, N=batch.N, batch=batch.batch)["M2"]
    start = 0
    for number, data in enumerate(molecules):
        R, Z = data.Ra.numpy(), data.Za.numpy()
        weights = {"lab": None, "center_of_mass": atomic_masses[Z], "center_of_nuclear_charge": Z}[origin]
        center = np.zeros(3) if weights is None else np.average(R, axis=0, weights=weights)
        by_hand = np.zeros(3)
        for q, r in zip(Qa[start : start + len(Z)].tolist(), R, strict=True):
            by_hand += q * (r - center)
        np.testing.assert_allclose(M2[number], by_hand, rtol=1e-12, atol=1e-12)
        start += len(Z)


def test_dipole_of_a_neutral_molecule_needs_no_origin(molecules: list[Data]) -> None:
    data = molecules[0]
    Qa = torch.randn(len(data.Za), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    Qa = Qa - Qa.mean()
    batch = torch.zeros_like(data.Za)
    dipoles = [
        AtomicCharge2Dipole(origin).double()(Qa=Qa, Ra=data.Ra, Za=data.Za, N=data.N, batch=batch)["M2"]
        for origin in ("lab", "center_of_mass", "center_of_nuclear_charge")
    ]
    torch.testing.assert_close(dipoles[1], dipoles[0])
    torch.testing.assert_close(dipoles[2], dipoles[0])


def test_charge_conservation_by_hand() -> None:
    written = ChargeConservation()(
        Qa=torch.tensor([0.5, 0.1, -0.3, 0.2]),
        Q=torch.tensor([1.0, 0.0]),
        N=torch.tensor([3, 1]),
        batch=torch.tensor([0, 0, 0, 1]),
    )
    torch.testing.assert_close(written["Q_sum"], torch.tensor([0.3, 0.2]))
    torch.testing.assert_close(
        written["Qa"], torch.tensor([0.5, 0.1, -0.3, 0.0]) + torch.tensor([0.7, 0.7, 0.7, 0]) / 3
    )


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
    written = layer(Qa=Qa, Ra=R, N=data.N)
    expected = 27.2 * bohr / 2.0 * coulomb_by_hand(Qa.numpy(), R.numpy(), 4.0, bohr, flavor)
    assert float(written["Ea_electrostatic"].sum()) == pytest.approx(expected, rel=1e-12)


def test_two_far_charges_feel_coulombs_law() -> None:
    """Two unit charges 10 Å apart: 14.3996 eV Å / 10 Å."""
    layer = ElectrostaticEnergy(5.0, Hartree_in_E=27.211386245981, Bohr_in_R=0.529177210544)
    written = layer(
        Qa=torch.tensor([1.0, -1.0], dtype=torch.float64),
        Ra=torch.tensor([[0.0, 0.0, 0.0], [0.0, 6.0, 8.0]], dtype=torch.float64),
        N=torch.tensor([2]),
    )
    assert float(written["Ea_electrostatic"].sum()) == pytest.approx(-1.43996, rel=1e-5)


@pytest.mark.parametrize("flavor", ["PhysNet", "SpookyNet"])
def test_electrostatic_energy_with_a_cutoff_by_hand(molecules: list[Data], batch: Batch, flavor: str) -> None:
    """Energies and forces of each atom, from the slope of each pair; some pairs are beyond the cutoff."""
    charges = torch.randn(len(batch.Za), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    Ra = batch.Ra.clone().requires_grad_()
    layer = ElectrostaticEnergy(3.0, 2.0, 0.529177210544, cutoff_lr=3.7, flavor=flavor)
    Ea = layer(Qa=charges, Ra=Ra, N=batch.N)["Ea_electrostatic"]
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


@pytest.mark.parametrize("flavor", ["PhysNet", "SpookyNet"])
def test_shifted_force_ends_smoothly(flavor: str) -> None:
    r = torch.tensor([5.9999999, 6.0000001], dtype=torch.float64, requires_grad=True)
    chi = shifted_force(r, damped_coulomb(r, 5.0, 1.0, flavor), 6.0)
    (slope,) = torch.autograd.grad(chi.sum(), r)
    assert float(chi.detach().abs().max()) < 1e-12
    assert float(slope.abs().max()) < 1e-7
    inside = torch.tensor([4.0], dtype=torch.float64)
    expected = 1 / 4 - 1 / 6 + (4 - 6) / 36
    assert float(shifted_force(inside, 1 / inside, 6.0)) == pytest.approx(expected, rel=1e-12)


def test_cutoffs_by_hand() -> None:
    r = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(cosine_cutoff(r, 2.0), torch.tensor([1.0, 0.5, 0.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(polynomial_cutoff(r, 2.0), torch.tensor([1.0, 0.5, 0.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(smooth_switch(r, 0.5, 1.5), torch.tensor([1.0, 0.5, 0.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("function", [cosine_cutoff, polynomial_cutoff])
def test_cutoffs_have_finite_derivatives(function) -> None:
    r = torch.linspace(0.1, 3.0, 59, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: function(r, 2.03), r)
    assert torch.autograd.gradgradcheck(lambda r: function(r, 2.03), r)


def test_switch_has_finite_derivatives_everywhere() -> None:
    r = torch.linspace(0.0, 3.0, 601, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(smooth_switch(r, 1.0, 2.0).sum(), r, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), r)
    assert slope.isfinite().all()
    assert curvature.isfinite().all()


def test_energy_is_summed_in_double_precision() -> None:
    """10 000 atoms of -1.0001 eV: in single precision the sum would be off by far more than a meV."""
    count = 10_000
    Ea = torch.full((count,), -1.0001)
    written = EnergyReduce(["Ea"])(N=torch.tensor([count]), batch=torch.zeros(count, dtype=torch.long), Ea=Ea)
    assert written["E"].dtype == torch.float64
    assert float(written["E"]) == pytest.approx(count * float(Ea[0]), rel=1e-14)


def test_lone_atom_has_no_force() -> None:
    predicted = make_potential().eval()(make_data([2], np.zeros((1, 3))))
    assert predicted["Fa"].shape == (1, 3)
    assert torch.equal(predicted["Fa"], torch.zeros(1, 3, dtype=torch.float64))
    assert predicted["E"].shape == (1,)


def test_neighbors_are_searched_for_where_there_is_no_list() -> None:
    """With and without a list of all pairs, together and alone."""
    potential, batch = make_potential().eval(), Batch.from_data_list(some_molecules())
    listed = potential(batch)
    del batch.edge_index
    found = potential(batch)
    assert potential.reach == 4.0
    for name, value in listed.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10)


def test_a_layer_that_takes_all_pairs_gets_them() -> None:
    class Far(Layer):
        reads = ("Dij", "N", "batch")
        writes = ("far",)

        def forward(self, Dij: torch.Tensor, N: torch.Tensor, batch: torch.Tensor) -> dict[str, torch.Tensor]:
            assert len(Dij) == int((N * (N - 1) // 2).sum())
            return {"far": Dij}

    potential, batch = make_potential().eval(), Batch.from_data_list(some_molecules())
    del batch.edge_index
    layers = list(potential.layers)
    layers.insert(1, Far())
    together = Potential(layers).eval()
    assert together.reach == math.inf
    together(batch)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gaussians_are_never_subnormal(dtype: torch.dtype) -> None:
    r = torch.linspace(0, 20, 997, dtype=dtype)
    centers = torch.linspace(0, 20, 65, dtype=torch.float64)
    found = gaussian_basis(r, centers.to(dtype), 0.3125)
    expected = torch.exp(-0.5 * ((r[:, None].double() - centers) / 0.3125) ** 2)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-15)
    assert bool((found == 0).any())
    assert float(found[found > 0].min()) > 1e-22
