"""Features of elements and of total charges."""

import numpy as np
import pytest
import torch
from molecules import LAYER_ENTRIES, make_data, make_potential, results, some_molecules
from torch import Tensor
from torch_geometric.data import Batch, Data

from pyg_nnp.functional.geometry import sum_over_atoms
from pyg_nnp.layers import ChargeEmbedding

# without layers that make energies depend on the charge by themselves
ENTRIES = [entry for entry in LAYER_ENTRIES if entry[0] not in ("AtomicCharge2Dipole", "ElectrostaticEnergy")]
ENTRIES.insert(3, ("ChargeEmbedding", {}))
F = 5


def random_layer(seed: int = 0) -> ChargeEmbedding:
    layer = ChargeEmbedding(F).double().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return layer


def features(count: int) -> Tensor:
    return torch.randn(count, F, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def with_charge(data: Data, charge: float) -> Data:
    changed = data.clone()
    changed.Q = torch.full_like(data.Q, charge)
    return changed


def test_charges_change_features_and_energies_by_hand(batch: Batch) -> None:
    layer, x = random_layer(), features(len(batch.Za))
    written = layer(x=x, Q=batch.Q, N=batch.N, batch=batch.batch)
    keys, values, energies = (parameter.numpy() for parameter in (layer.keys, layer.values, layer.energies))
    first = 0
    for Q, N in zip(batch.Q.tolist(), batch.N.tolist(), strict=True):
        before, after = (array[first : first + N].numpy() for array in (x, written["x"]))
        sign = 0 if Q > 0 else 1
        weights = [np.exp(row @ keys[sign]) for row in before]
        for atom in range(N):
            share = Q * weights[atom] / sum(weights)
            np.testing.assert_allclose(after[atom], before[atom] + share * values[sign], rtol=1e-12, atol=1e-14)
            found = float(written["Ea_charge"][first + atom])
            assert found == pytest.approx(share * energies[sign], rel=1e-12, abs=1e-14)
        first += N


@pytest.mark.parametrize("charge", [-2.0, 1.0])
def test_the_energy_of_a_charge_does_not_grow_with_the_molecule(charge: float) -> None:
    layer = random_layer()
    for count in (1, 3, 200):
        atoms = torch.zeros(count, dtype=torch.int64)
        Q = torch.tensor([charge], dtype=torch.float64)
        written = layer(x=features(count), Q=Q, N=torch.tensor([count]), batch=atoms)
        expected = charge * float(layer.energies[0 if charge > 0 else 1])
        assert float(sum_over_atoms(written["Ea_charge"], atoms, 1)) == pytest.approx(expected, rel=1e-12)


def test_large_features_divide_the_charge_without_overflow() -> None:
    layer, x = random_layer().float(), 1e4 * features(6).float()
    molecules = torch.tensor([0, 0, 0, 0, 1, 1])
    written = layer(x=x, Q=torch.tensor([1.0, -1.0]), N=torch.tensor([4, 2]), batch=molecules)
    totals = sum_over_atoms(written["Ea_charge"], molecules, 2)
    torch.testing.assert_close(totals, layer.energies * torch.tensor([1.0, -1.0]))


def test_charges_make_no_difference_before_they_are_trained() -> None:
    generator = torch.Generator().manual_seed(0)
    layer, x = ChargeEmbedding(F), torch.randn(4, F, generator=generator)
    for Q in (-1.0, 2.0):
        written = layer(x=x, Q=torch.tensor([Q]), N=torch.tensor([4]), batch=torch.zeros(4, dtype=torch.int64))
        assert torch.equal(written["x"], x)
        assert not written["Ea_charge"].any()


def test_predictions_depend_on_the_charge(molecules: list[Data]) -> None:
    potential = make_potential(ENTRIES).eval()
    found = [potential(with_charge(molecules[0], charge)) for charge in (0.0, 1.0, -1.0)]
    energies = [float(predicted["E"]) for predicted in found]
    assert min(abs(np.diff(np.sort(energies)))) > 1e-3
    # a molecule does not become a mirror image of itself by the other sign
    assert abs(energies[1] + energies[2] - 2 * energies[0]) > 1e-3
    assert float((found[0]["Fa"] - found[1]["Fa"]).abs().max()) > 1e-6
    # without charge the layer is as if it were not there
    without = make_potential([entry for entry in ENTRIES if entry[0] != "ChargeEmbedding"]).eval()
    state = {name: value for name, value in potential.state_dict().items() if not name.startswith("layers.4.")}
    renamed = {}
    for name, value in state.items():
        part = name.split(".")
        if part[0] == "layers" and int(part[1]) > 4:
            part[1] = str(int(part[1]) - 1)
        renamed[".".join(part)] = value
    without.load_state_dict(renamed)
    assert float(without(with_charge(molecules[0], 0.0))["E"]) == energies[0]


def test_a_batch_gives_what_its_molecules_give_alone(molecules: list[Data]) -> None:
    potential = make_potential(ENTRIES).eval()
    together = potential(Batch.from_data_list(molecules))
    alone = [potential(data) for data in molecules]
    for name in ("E", "Fa", "Qa"):
        torch.testing.assert_close(together[name], torch.cat([one[name] for one in alone]), rtol=1e-10, atol=1e-11)


def test_forces_are_the_slope_of_the_energy() -> None:
    potential, data = make_potential(ENTRIES).eval(), some_molecules()[2]
    assert float(data.Q) == -1
    forces, step = potential(data)["Fa"], 1e-5
    for atom in range(3):
        for axis in range(3):
            energies = []
            for sign in (1, -1):
                moved = data.clone()
                moved.Ra[atom, axis] += sign * step
                energies.append(float(potential(moved)["E"]))
            slope = (energies[0] - energies[1]) / (2 * step)
            assert float(forces[atom, axis]) == pytest.approx(-slope, rel=1e-6, abs=1e-8)


def test_gradients_reach_the_parameters_of_both_signs(batch: Batch) -> None:
    _, gradients = results(make_potential(ENTRIES), batch)
    of_layer = {name: gradient for name, gradient in gradients.items() if name.startswith("layers.4.")}
    assert len(of_layer) == 3
    assert all(bool((rows != 0).any()) for gradient in of_layer.values() for rows in gradient)


def test_two_precisions(batch: Batch) -> None:
    double = make_potential(ENTRIES).eval()
    single = make_potential(ENTRIES).float().eval()
    torch.testing.assert_close(single(batch)["E"], double(batch)["E"], rtol=1e-5, atol=1e-5)


def test_a_lone_atom_carries_its_charge() -> None:
    layer = random_layer()
    ion = make_data([11], np.zeros((1, 3)), 1.0)
    written = layer(x=features(1), Q=ion.Q, N=ion.N, batch=torch.zeros(1, dtype=torch.int64))
    assert float(written["Ea_charge"]) == pytest.approx(float(layer.energies[0]))
