"""The network of Cartesian tensors against its formulas, written out with 3 x 3 matrices."""

import pytest
import torch
from molecules import LAYER_ENTRIES, core_arguments, core_of, make_potential, with_options
from torch import Tensor
from torch.nn.functional import silu
from torch_geometric.data import Batch

from pyg_nnp.functional.cutoff import polynomial_cutoff
from pyg_nnp.layers.cores import CartesianCore


def traceless(T: Tensor) -> Tensor:
    """Return the symmetric traceless part of (A, F, 3, 3) matrices."""
    symmetric = (T + T.transpose(2, 3)) / 2
    trace = symmetric.diagonal(dim1=2, dim2=3).sum(dim=2)
    return symmetric - trace[:, :, None, None] * torch.eye(3, dtype=T.dtype) / 3


def by_matrices(core: CartesianCore, x: Tensor, edge_index: Tensor, R: Tensor, basis, cutoff: float) -> dict:
    """All edges one by one; features (A, F), (A, F, 3), (A, F, 3, 3) with linear layers applied to F."""
    A, F = x.shape
    s, v, t = x, x.new_zeros(A, F, 3), x.new_zeros(A, F, 3, 3)
    for interaction in core.interactions:
        a0, a1, a2 = (s @ interaction.source.weight.T).split(F, dim=1)
        m0, m1, m2 = x.new_zeros(A, F), x.new_zeros(A, F, 3), x.new_zeros(A, F, 3, 3)
        for j, i in edge_index.T.tolist():
            vector = R[j] - R[i]
            r = vector.norm()[None]
            u = vector / r
            network = interaction.filter_network
            hidden = silu(basis.expand(r) @ network.lin1.weight.T + network.lin1.bias)
            w = hidden @ network.lin2.weight.T + network.lin2.bias
            w = w[0] * polynomial_cutoff(r, cutoff) / network.num_neighbors.sqrt()
            w0, w1, w2 = w.split(F)
            Q = 1.5**0.5 * (torch.outer(u, u) - torch.eye(3, dtype=x.dtype) / 3)
            m0[i] += w0 * a0[j]
            m1[i] += w1[:, None] * (3**0.5 * u * a1[j, :, None] + v[j])
            m2[i] += w2[:, None, None] * (5**0.5 * Q * a2[j, :, None, None] + t[j])
        M0, M1, M2 = (
            torch.einsum("gf,af...->ag...", mix.weight, m) for mix, m in zip(interaction.mix, (m0, m1, m2), strict=True)
        )
        p = torch.einsum("afxy,afy->afx", M2, M1)
        z = torch.cat((s, M0, (M1**2).sum(2) / 3, (M2**2).sum((2, 3)) / 5, (M1 * p).sum(2)), dim=1)
        g = interaction.lin2(silu(interaction.lin1(z))).split(F, dim=1)
        s = s + g[0]
        if len(interaction.update) > 0:
            change = g[1][:, :, None] * M1 + g[2][:, :, None] * p
            v = v + torch.einsum("gf,afx->agx", interaction.update[0].weight, change)
        if len(interaction.update) > 1:
            gates = [gate[:, :, None, None] for gate in g[3:]]
            squares = traceless(torch.einsum("afx,afy->afxy", M1, M1)), traceless(M2 @ M2)
            change = gates[0] * M2 + gates[1] * squares[0] + gates[2] * squares[1]
            t = t + torch.einsum("gf,afxy->agxy", interaction.update[1].weight, change)
    Ea, Qa = core.lin2(silu(core.lin1(s))).unbind(1)
    return {"x": s, "Ea": Ea, "Qa": Qa, "Ma": cutoff * torch.einsum("f,afx->ax", core.dipole.weight[0], v)}


@pytest.mark.parametrize("num_interactions", [1, 2, 3])
def test_features_are_those_of_the_formulas(num_interactions: int, batch: Batch) -> None:
    potential = make_potential(with_options("Core", num_interactions=num_interactions, filters="exact"), "Cartesian")
    core, arguments = core_of(potential), core_arguments(potential, batch)
    found = core(**arguments)
    basis = next(layer for layer in potential.layers if type(layer).__name__ == "GaussianSmearing")
    expected = by_matrices(core, arguments["x"], arguments["edge_index_sr"], batch.Ra, basis, 4.0)
    assert found.keys() == expected.keys() == set(core.writes)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10)
        assert float(value.detach().std()) > 1e-3, name


def test_last_vectors_cost_something_only_where_they_may_be_seen() -> None:
    entries = [entry for entry in LAYER_ENTRIES if entry[0] != "AtomicCharge2Dipole"]
    assert [len(i.update) for i in core_of(make_potential(architecture="Cartesian")).interactions] == [2, 1]
    assert [len(i.update) for i in core_of(make_potential(entries, "Cartesian")).interactions] == [2, 0]


def test_outputs_are_scaled(batch: Batch) -> None:
    """Energies and their forces by one number, charges and dipoles by the other."""
    entries = [entry for entry in LAYER_ENTRIES if entry[0] not in ("AtomicAffine", "ElectrostaticEnergy")]
    potential = make_potential(entries, "Cartesian").double().eval()
    before = potential(batch)
    core_of(potential).scale_outputs(8.0, 0.25)
    after = potential(batch)
    for name, factor in (("E", 8.0), ("Ea", 8.0), ("Fa", 8.0)):
        torch.testing.assert_close(after[name], factor * before[name], rtol=1e-12, atol=1e-12)
    # the total charge is not scaled
    neutral = batch.Q[batch.batch] == 0
    torch.testing.assert_close(after["Qa"][neutral], 0.25 * before["Qa"][neutral], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(after["M2"][batch.Q == 0], 0.25 * before["M2"][batch.Q == 0], rtol=1e-12, atol=1e-12)


def test_initialisation_gives_all_features_a_mean_square_of_one(batch: Batch) -> None:
    """Messages, invariants, products, and v and t, of each interaction, as seen by the layers that take them."""
    potential = make_potential(with_options("Core", num_interactions=2), "Cartesian").train()
    seen: dict[str, Tensor] = {}

    def watch(name: str, module: torch.nn.Module) -> None:
        module.register_forward_hook(lambda _, given, out: seen.update({f"{name} in": given[0], f"{name} out": out}))

    core = core_of(potential)
    before = [interaction.lin1.weight.detach().clone() for interaction in core.interactions]
    potential.initialise(batch)
    for number, interaction in enumerate(core.interactions):
        for name in ("mix.0", "mix.1", "mix.2", "lin1", "update.0", "update.1"):
            if number == 0 or name != "update.1":
                watch(f"{number} {name}", interaction.get_submodule(name))
    potential(batch)

    def size(x: Tensor) -> float:
        return float(x.detach().square().mean().sqrt())

    for number in (0, 1):
        for degree in range(3):
            assert abs(size(seen[f"{number} mix.{degree} out"]) - 1) < 1e-4
        z, weight = seen[f"{number} lin1 in"], core.interactions[number].lin1.weight.detach()
        for part, w, w_before in zip(*(x.split(16, dim=1) for x in (z, weight, before[number])), strict=True):
            torch.testing.assert_close(size(part) * w, w_before, rtol=1e-4, atol=1e-4)
    assert abs(size(seen["0 update.0 out"]) - 1) < 1e-4
    assert abs(size(seen["0 update.1 out"]) - 1) < 1e-4
    assert abs(size(seen["1 update.0 out"]) - 0.5) < 1e-4
    neighbors = float(core.interactions[0].filter_network.num_neighbors)
    within = sum((torch.pdist(batch.Ra[batch.batch == n]) < 4.0).sum() for n in range(7))
    assert abs(neighbors - 2 * float(within) / len(batch.Ra)) < 1e-6
