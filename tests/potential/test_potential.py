"""What a potential reads, predicts and refuses; symmetries, batches, units, gradients, neighbors."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from molecules import LAYER_ENTRIES, make_data, make_potential, some_molecules, with_options
from scipy.spatial.transform import Rotation
from torch_geometric.data import Batch, Data
from toy import toy_config
from toy_training import run_toy

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import DataError
from pyg_nnp.layers import Distance, RangeSeparation
from pyg_nnp.layers.base import Layer
from pyg_nnp.layers.cores import CORES
from pyg_nnp.potential.potential import Potential


@pytest.fixture(params=CORES)
def architecture(request: pytest.FixtureRequest) -> str:
    return request.param


def test_predicted_energies_are_total_energies(folder: Path) -> None:
    """Reference energies come back in, in double precision: what remains is what the network predicts."""
    model = run_toy(Path("out"), Modelhub__FF01__loss={"rmse": {"E": 1}}, Trainer__max_epochs=30)
    dataset = MoleculeDataset.from_config(pyg_nnp.load_config("out/config.yaml"), "out")
    predicted = pyg_nnp.load_potential(model)(dataset.batch(torch.arange(5)))
    assert predicted["E"].dtype == torch.float64
    assert float((predicted["E"] - dataset.E[:5]).abs().max()) < 2.0
    assert float(dataset.E.mean()) < -75.0


def test_batch_is_not_modified(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = MoleculeDataset.from_config(config_from_dict(toy_config()), ".")
    batch = dataset.batch(torch.arange(4))
    before = {name: value.clone() for name, value in batch.to_dict().items() if isinstance(value, torch.Tensor)}
    potential = pyg_nnp.build_potential(config_from_dict(toy_config()), "FF01")
    potential(batch)["Fa"].sum().backward()
    after: Batch = batch
    assert before.keys() == {name for name, value in after.to_dict().items() if isinstance(value, torch.Tensor)}
    for name, value in before.items():
        assert torch.equal(after[name], value), name
        assert not after[name].requires_grad


def test_labels_cannot_leak_into_a_prediction(folder: Path) -> None:
    dataset = MoleculeDataset.from_config(config_from_dict(toy_config()), ".")
    potential = pyg_nnp.build_potential(config_from_dict(toy_config()), "FF01").eval()
    batch, blind = dataset.batch(torch.arange(4)), dataset.batch(torch.arange(4))
    for name in ("E", "Fa", "Qa", "M2"):
        blind[name] = torch.full_like(blind[name], float("nan"))
    for name, value in potential(batch).items():
        assert torch.equal(value, potential(blind)[name])


def test_elements_never_seen_are_refused(folder: Path) -> None:
    potential = pyg_nnp.load_potential(run_toy(Path("out")))
    data = make_data([6, 1], np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.1]]), dtype=torch.float32)
    with pytest.raises(DataError, match="this potential was not trained on C, only on H, O"):
        potential(data)


def test_inference_mode_predicts_forces_too(folder: Path) -> None:
    potential = pyg_nnp.load_potential(run_toy(Path("out")))
    dataset = MoleculeDataset.from_config(pyg_nnp.load_config("out/config.yaml"), "out")
    expected = potential(dataset.batch([0, 1]))
    with torch.inference_mode():
        predicted = potential(dataset.batch([0, 1]))
    assert torch.equal(predicted["Fa"], expected["Fa"])


def test_batch_gives_what_molecules_give_alone(molecules: list[Data], batch: Batch, architecture: str) -> None:
    potential = make_potential(architecture=architecture).eval()
    together = potential(batch)
    alone = [potential(data) for data in molecules]
    assert set(together) == {"E", "Ea", "Fa", "Qa", "M2", "Q"}
    for name, value in together.items():
        torch.testing.assert_close(value, torch.cat([one[name] for one in alone]), rtol=1e-12, atol=1e-12)


def orthogonal_matrices() -> list[np.ndarray]:
    rotation = Rotation.from_euler("xyz", [0.4, 1.3, -2.2]).as_matrix()
    return [rotation, -rotation, np.diag([1.0, 1.0, -1.0])]


@pytest.mark.parametrize("matrix", orthogonal_matrices())
def test_rotations_and_reflections(batch: Batch, matrix: np.ndarray, architecture: str) -> None:
    potential = make_potential(architecture=architecture).eval()
    Q = torch.tensor(matrix)
    turned = batch.clone()
    turned.Ra = batch.Ra @ Q.T
    before, after = potential(batch), potential(turned)
    for name in ("E", "Ea", "Qa", "Q"):
        torch.testing.assert_close(after[name], before[name])
    for name in ("Fa", "M2"):
        torch.testing.assert_close(after[name], before[name] @ Q.T)


@pytest.mark.parametrize("origin", ["lab", "center_of_mass", "center_of_nuclear_charge"])
def test_translations(batch: Batch, origin: str, architecture: str) -> None:
    potential = make_potential(with_options("AtomicCharge2Dipole", origin=origin), architecture).eval()
    shift = torch.tensor([3.0, -7.0, 1.5], dtype=torch.float64)
    moved = batch.clone()
    moved.Ra = batch.Ra + shift
    before, after = potential(batch), potential(moved)
    for name in ("E", "Ea", "Fa", "Qa", "Q"):
        torch.testing.assert_close(after[name], before[name])
    # the dipole of an ion moves with it relative to a fixed origin
    expected = before["M2"] + (batch.Q[:, None] * shift if origin == "lab" else 0)
    torch.testing.assert_close(after["M2"], expected)


def test_permutations(molecules: list[Data], architecture: str) -> None:
    potential = make_potential(architecture=architecture).eval()
    data = molecules[0]
    order = torch.randperm(len(data.Za), generator=torch.Generator().manual_seed(0))
    shuffled = data.clone()
    shuffled.Ra, shuffled.Za = data.Ra[order], data.Za[order]
    before, after = potential(data), potential(shuffled)
    for name in ("E", "M2", "Q"):
        torch.testing.assert_close(after[name], before[name])
    for name in ("Ea", "Fa", "Qa"):
        torch.testing.assert_close(after[name], before[name][order])


def test_order_and_direction_of_edges_do_not_matter(molecules: list[Data], architecture: str) -> None:
    potential = make_potential(architecture=architecture).eval()
    data = molecules[0]
    other = data.clone()
    order = torch.randperm(data.edge_index.shape[1], generator=torch.Generator().manual_seed(0))
    other.edge_index = data.edge_index.flip(0)[:, order]
    torch.testing.assert_close(potential(other)["Fa"], potential(data)["Fa"])


def test_same_data_in_other_units_gives_the_same_potential(architecture: str) -> None:
    """Lengths in Bohr instead of Å, energies in eV instead of Hartree."""
    bohr, hartree = 1 / 0.5291772108, 27.211386
    angstrom_hartree = make_potential(architecture=architecture).eval()
    other = make_potential(architecture=architecture, cutoff_sr=4.0 * bohr, Hartree_in_E=hartree, Bohr_in_R=1.0).eval()
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


def test_gradients_of_a_loss_on_forces_reach_every_parameter(batch: Batch, architecture: str) -> None:
    # atomic dipoles have no force
    entries = [entry for entry in LAYER_ENTRIES if entry[0] != "AtomicCharge2Dipole"]
    potential = make_potential(entries, architecture).train()
    potential(batch)["Fa"].square().sum().backward()
    for name, parameter in potential.named_parameters():
        if name.endswith(".shift"):  # a constant per element moves charges alone, and these the Coulomb forces
            assert parameter.grad[:, 1].abs().max() > 0
        elif name.endswith("lin2.bias") and parameter.shape == (2,):
            continue  # the same for all atoms: ChargeConservation removes the charge, and the energy has no force
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_evaluation_keeps_no_graph(batch: Batch, architecture: str) -> None:
    predicted = make_potential(architecture=architecture).eval()(batch)
    assert not any(value.requires_grad for value in predicted.values())
    with torch.no_grad():
        again = make_potential(architecture=architecture).eval()(batch)
    assert torch.equal(again["Fa"], predicted["Fa"])


def test_neighbors_are_searched_for_where_there_is_no_list(architecture: str) -> None:
    """With and without a list of all pairs, together and alone."""
    potential, batch = make_potential(architecture=architecture).eval(), Batch.from_data_list(some_molecules())
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


@pytest.mark.parametrize("in_memory", [True, False])
def test_data_far_from_the_origin_are_as_good_as_near(folder: Path, in_memory: bool) -> None:
    """Rows keep their digits, and so the loss and its gradients do."""
    frames = pickle.loads(Path("dataset.pkl").read_bytes())
    far = [{**frame, "coordinates": frame["coordinates"] + [3e4, 0.0, -3e4]} for frame in frames]
    Path("far.pkl").write_bytes(pickle.dumps(far))
    potential, found = pyg_nnp.build_potential(config_from_dict(toy_config()), "FF01"), []
    for path in ("dataset.pkl", "far.pkl"):
        config = config_from_dict(toy_config(Datahub__data_path=path, Datahub__in_memory=in_memory))
        batch = MoleculeDataset.from_config(config, ".").batch(torch.arange(4))
        assert (batch.Ra.dtype, batch.Fa.dtype) == (torch.float64, torch.float32)
        predicted = potential(batch)
        loss = predicted["Fa"].square().sum() + predicted["E"].sum()
        gradients = torch.autograd.grad(loss, list(potential.parameters()), allow_unused=True)
        found.append([predicted["Fa"], *(gradient for gradient in gradients if gradient is not None)])
    for near, there in zip(*found, strict=True):
        torch.testing.assert_close(there, near, rtol=1e-5, atol=1e-6 * float(near.detach().abs().max()))


def test_a_potential_without_parameters_is_in_double_precision() -> None:
    potential = Potential([Distance(), RangeSeparation(4.0)])
    assert potential.dtype == torch.float64
    fields = potential._wiring.run(potential.layers, potential.inputs_of(some_molecules()[0]))
    assert fields["Vij"].dtype == fields["Dij_sr"].dtype == torch.float64
