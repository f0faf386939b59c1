"""PaiNN against its published equations, pair by pair, and what differs from them."""

from pathlib import Path

import pytest
import torch
from molecules import core_arguments, core_of, make_potential, with_options
from torch import Tensor
from torch.nn.functional import silu
from torch_geometric.data import Batch
from toy_training import history, run_toy

from pyg_nnp.functional.cutoff import cosine_cutoff
from pyg_nnp.layers.cores import PaiNNCore


def by_equations(core: PaiNNCore, x: Tensor, edge_index: Tensor, R: Tensor, basis, cutoff: float) -> dict:
    """Equations 7 to 10, atom by atom and neighbor by neighbor, with v as (3, F) for each atom."""
    s, v = list(x), list(x.new_zeros(len(x), 3, x.shape[1]))
    for interaction in core.interactions:
        F, network = x.shape[1], interaction.filter_network
        weights, biases = network.weight.split(F), network.bias.split(F)
        hidden = [silu(interaction.source1.weight @ a + interaction.source1.bias) for a in s]
        phi = [(interaction.source2.weight @ h + interaction.source2.bias).split(F) for h in hidden]
        ds, dv = [torch.zeros_like(a) for a in s], [torch.zeros_like(a) for a in v]
        for j, i in edge_index.T.tolist():
            vector = R[j] - R[i]
            r = vector.norm()
            e = basis.expand(r[None])[0]
            W = [(w @ e + b) * cosine_cutoff(r, cutoff) for w, b in zip(weights, biases, strict=True)]
            ds[i] = ds[i] + phi[j][0] * W[0]
            dv[i] = dv[i] + torch.outer(vector / r, phi[j][1] * W[1])
            if v[j].any():
                dv[i] = dv[i] + v[j] * phi[j][2] * W[2]
        s, v = [a + d for a, d in zip(s, ds, strict=True)], [a + d for a, d in zip(v, dv, strict=True)]
        U, V = interaction.mix.weight.split(F)
        for i in range(len(s)):
            Uv, Vv = v[i] @ U.T, v[i] @ V.T
            norm = ((Vv**2).sum(0) + 1e-8).sqrt()
            of_both = silu(interaction.lin1.weight @ torch.cat((s[i], norm)) + interaction.lin1.bias)
            a_ss, a_sv, *a_vv = (interaction.lin2.weight @ of_both + interaction.lin2.bias).split(F)
            s[i] = s[i] + a_ss + a_sv * (Uv * Vv).sum(0)
            v[i] = v[i] + (a_vv[0] * Uv if a_vv else 0)
    x, vectors = torch.stack(s), torch.stack(v)
    Ea, Qa = core.lin2(silu(core.lin1(x))).unbind(1)
    written = {"x": x, "Ea": Ea, "Qa": Qa}
    return written | ({} if core.dipole is None else {"Ma": cutoff * vectors @ core.dipole.weight[0]})


@pytest.mark.parametrize("dipoles", [True, False])
@pytest.mark.parametrize("num_interactions", [1, 2, 3])
def test_features_are_those_of_the_equations(num_interactions: int, dipoles: bool, batch: Batch) -> None:
    entries = with_options("Core", num_interactions=num_interactions, filters="exact", atomic_dipoles=dipoles)
    entries = [entry for entry in entries if dipoles or entry[0] != "AtomicCharge2Dipole"]
    potential = make_potential(entries, "PaiNN")
    core, arguments = core_of(potential), core_arguments(potential, batch)
    basis = next(layer for layer in potential.layers if type(layer).__name__ == "GaussianSmearing")
    found = core(**arguments)
    expected = by_equations(core, arguments["x"], arguments["edge_index_sr"], batch.Ra, basis, 4.0)
    assert found.keys() == expected.keys() == set(core.writes)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-12, atol=1e-12)
        assert float(value.detach().std()) > 1e-3, name


def test_weights_that_make_no_difference_are_left_out() -> None:
    """Those of the vectors before the first interaction, and of those after the last one without dipoles."""
    entries = [entry for entry in with_options("Core", num_interactions=3) if entry[0] != "AtomicCharge2Dipole"]
    sizes = {
        dipoles: [
            [len(layer.weight) // 16 for layer in (i.filter_network, i.source2, i.lin2)]
            for i in core_of(make_potential(entries, "PaiNN", atomic_dipoles=dipoles)).interactions
        ]
        for dipoles in (True, False)
    }
    assert sizes[True] == [[2, 2, 3], [3, 3, 3], [3, 3, 3]]
    assert sizes[False] == [[2, 2, 3], [3, 3, 3], [3, 3, 2]]


def test_weights_begin_as_published() -> None:
    """Uniform, with Xavier's bounds; biases are 0."""
    generator = torch.Generator().manual_seed(0)
    core = PaiNNCore(dim_embedding=32, num_rbf=20, cutoff_sr=4.0, atomic_dipoles=False, generator=generator)
    assert len(core.interactions) == 3
    for name, layer in core.named_modules():
        if isinstance(layer, torch.nn.Linear):
            bound = (6 / sum(layer.weight.shape)) ** 0.5
            assert 0.9 * bound < float(layer.weight.detach().abs().max()) <= bound, name
            assert layer.bias is None or not layer.bias.any(), name


def test_a_training_lowers_the_loss(folder: Path) -> None:
    model = run_toy(folder / "out", Modelhub__FF01__architecture="PaiNN", Trainer__max_epochs=30)
    losses = [row["training_loss"] for row in history(model)]
    assert losses[-1] < 0.5 * losses[0]
