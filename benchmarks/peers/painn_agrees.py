"""PaiNN with the weights of SchNetPack's: the largest differences of features, dipoles and derivatives, in float64.

pip install schnetpack
python benchmarks/peers/painn_agrees.py
"""

import math
import typing

import torch
from ase import Atoms
from ase.build import molecule
from scipy.spatial.distance import pdist
from torch import Tensor, nn
from torch.utils.data import dataloader

from pyg_nnp.layers import BesselBasis
from pyg_nnp.layers.cores import PaiNNCore

if not hasattr(dataloader, "T_co"):  # SchNetPack 2.1.1 imports it, and newer versions of PyTorch lack it
    dataloader.T_co = typing.TypeVar("T_co", covariant=True)  # type: ignore[attr-defined]

from schnetpack.nn import BesselRBF, CosineCutoff
from schnetpack.representation import PaiNN

F, K, CUTOFF = 32, 20, 5.0


def pairs_of(atoms: Atoms) -> Tensor:
    """Return (2, P) the pairs j, i within the cutoff."""
    every = torch.combinations(torch.arange(len(atoms)))  # (P, 2), in the order of pdist
    return every[torch.from_numpy(pdist(atoms.positions) < CUTOFF)].T


def give(to: nn.Linear, of: nn.Linear, order: tuple[int, ...], first: int = 0) -> None:
    """Take blocks of F rows in another order; those that ours does not have stay, since they make no difference."""
    for ours, theirs in enumerate(order):
        if ours * F < len(to.weight):
            rows, taken = slice(ours * F, (ours + 1) * F), slice((first + theirs) * F, (first + theirs + 1) * F)
            to.weight[rows] = of.weight[taken]
            if to.bias is not None:
                to.bias[rows] = of.bias[taken]


@torch.no_grad()
def with_weights_of(theirs: PaiNN, filters: str) -> PaiNNCore:
    """Return our core; the readout, which SchNetPack has elsewhere, is drawn at random."""
    ours = PaiNNCore(F, K, CUTOFF, theirs.n_interactions, filters, atomic_dipoles=True).eval()
    for n, (interaction, message, update) in enumerate(
        zip(ours.interactions, theirs.interactions, theirs.mixing, strict=True)
    ):
        give(interaction.filter_network, theirs.filter_net, (0, 1, 2), 3 * n)
        # theirs are sin(n pi r / r_c) / r, ours have a factor
        interaction.filter_network.weight *= math.pi * torch.arange(1, K + 1) / (math.sqrt(2) * CUTOFF)
        give(interaction.source1, message.interatomic_context_net[0], (0,))
        give(interaction.source2, message.interatomic_context_net[1], (0, 1, 2))
        give(interaction.mix, update.mu_channel_mix, (1, 0))  # V, U there
        give(interaction.lin1, update.intraatomic_context_net[0], (0,))
        give(interaction.lin2, update.intraatomic_context_net[1], (0, 2, 1))  # ss, vv, sv there
    return ours


def differences(name: str, num_interactions: int, filters: str) -> str:
    """Return a line with the largest differences, relative to the largest values."""
    theirs = PaiNN(F, num_interactions, BesselRBF(K, CUTOFF), CosineCutoff(CUTOFF)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():  # no biases of 0, which would hide mistakes
            parameter += 0.1 * torch.randn_like(parameter)
    ours, basis, atoms = with_weights_of(theirs, filters), BesselBasis(K, CUTOFF), molecule(name)
    ours.filter_table.bind(basis)
    pairs, Za = pairs_of(atoms), torch.from_numpy(atoms.numbers)
    edges = torch.cat((pairs, pairs.flip(0)), dim=1)  # (2, 2 P)
    R = torch.tensor(atoms.positions, requires_grad=True)
    V = R[edges[0]] - R[edges[1]]  # (2 P, 3)
    Vij, Dij = V[: len(pairs[0])], V[: len(pairs[0])].norm(dim=1)
    found = ours(theirs.embedding(Za), edges, Vij, Dij, basis)
    right = theirs({"_atomic_numbers": Za, "_Rij": V, "_idx_i": edges[1], "_idx_j": edges[0], "_n_atoms": len(Za)})
    s, Ma = right["scalar_representation"], CUTOFF * right["vector_representation"] @ ours.dipole.weight[0]
    c = torch.randn_like(s)
    slopes = [torch.autograd.grad((c * x).sum(), R, retain_graph=True)[0] for x in (found["x"], s)]
    compared = {"x": (found["x"], s), "Ma": (found["Ma"], Ma), "dx/dR": tuple(slopes)}
    parts = [f"{key} {float((a - b).abs().max() / b.abs().max()):.1e}" for key, (a, b) in compared.items()]
    return f"{name:12s} {num_interactions} interactions, filters {filters:6s} {', '.join(parts)}"


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    for name in ("CH3CH2OH", "C6H6", "CO2"):
        for num_interactions in (1, 3):
            for filters in ("exact", "table"):
                print(differences(name, num_interactions, filters))
