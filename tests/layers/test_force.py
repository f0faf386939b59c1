"""Forces against central differences, and by way of pairs against those by positions."""

from itertools import product
from unittest import mock

import numpy as np
import pytest
import torch
from molecules import make_data, make_potential, some_molecules, with_options
from torch_geometric.data import Batch

from pyg_nnp.layers import Core, Distance, Force
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
