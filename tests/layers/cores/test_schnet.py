"""SchNet against PyG's, and convolutions of one's own."""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from molecules import core_of, make_potential, results, some_molecules, with_options
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.nn.models import SchNet

from pyg_nnp.layers.cores.schnet import CFConv
from pyg_nnp.potential.potential import Potential


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


class HalfConv(CFConv):
    """A convolution with a message of its own."""

    def message(self, x_j: Tensor, W: Tensor) -> Tensor:
        return 0.5 * super().message(x_j, W)


def halved_conv(conv: type[CFConv], of: CFConv) -> CFConv:
    made = conv(of.lin1.in_features, of.lin1.out_features).double()
    made.load_state_dict(of.state_dict())
    return made


class HalfSum(CFConv):
    """A convolution with a sum of its own."""

    def aggregate(self, inputs: Tensor, index: Tensor, dim_size: int) -> Tensor:
        return 0.5 * super().aggregate(inputs, index, dim_size=dim_size)


@pytest.mark.parametrize("conv", [HalfConv, HalfSum])
def test_a_convolution_with_its_own_message_is_used(conv: type[CFConv]) -> None:
    """It gives forces and their gradients as the fused operator does with half the filters."""
    batch = Batch.from_data_list(some_molecules())
    plain, halved = make_potential(), make_potential()
    for interaction in core_of(plain).interactions:
        for parameter in interaction.filter_network.lin2.parameters():
            parameter.data *= 0.5
    for interaction in core_of(halved).interactions:
        interaction.conv = halved_conv(conv, interaction.conv)
    (found, of_found), (right, of_right) = results(halved, batch), results(plain, batch)
    for name, value in right.items():
        torch.testing.assert_close(found[name], value, rtol=1e-7, atol=1e-7)
    for name, value in of_right.items():
        factor = 0.5 if "filter_network.lin2" in name else 1.0
        torch.testing.assert_close(of_found[name], factor * value, rtol=1e-6, atol=1e-7)


def test_readout_is_in_double_precision_in_evaluation(batch: Batch) -> None:
    """Atomic energies are those of the features, rounded once; in training all is in the potential's precision."""
    potential = make_potential(dtype=torch.float32)
    core, found = core_of(potential), {}
    core.register_forward_hook(lambda core, given, results: found.update(results))
    core.lin2.register_forward_hook(lambda layer, given, result: found.update(readout=result))
    for is_training in (True, False):
        potential.train(is_training)(batch)
        assert found["readout"].dtype == (torch.float32 if is_training else torch.float64)
        assert found["Ea"].dtype == found["Qa"].dtype == torch.float32
    hidden = torch.nn.functional.softplus(core.lin1(found["x"])) - math.log(2)
    right = torch.nn.functional.linear(hidden, core.lin2.weight.double(), core.lin2.bias.double())
    assert torch.equal(torch.stack((found["Ea"], found["Qa"]), dim=1), right.float())
