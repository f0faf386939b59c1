"""SchNet against PyG's, and convolutions of one's own."""

from collections.abc import Callable, Iterator

import pytest
import torch
from molecules import make_potential, with_options
from torch_geometric.data import Batch
from torch_geometric.nn.models import SchNet

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
