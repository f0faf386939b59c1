"""Padding atoms and pairs, so that batches with different numbers of pairs have the same shapes."""

from typing import cast

import torch
from torch import Tensor

from pyg_nnp.functional.geometry import lengths, pair_distances, pair_vectors
from pyg_nnp.layers import Distance, RangeSeparation
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.potential.potential import Potential

NUM_PADDING = 2  # atoms


def filled_up(inputs: Fields, reach: float) -> Fields:
    """Return the inputs of a potential for a batch and its padding atoms, with pairs up to a capacity.

    Args:
        inputs: as :meth:`pyg_nnp.potential.potential.Potential.inputs_of` returns them.
        reach: pairs within it are kept [length].

    Returns:
        The same, ``edge_index`` as pairs j -> i and then the same pairs reversed.
    """
    Ra, Za, N, Q, molecule, edges = (inputs[name] for name in ("Ra", "Za", "N", "Q", "batch", "edge_index"))
    pairs = edges[:, edges[0] > edges[1]]  # (2, P)
    pairs = pairs[:, pair_distances(Ra, pairs) < reach]  # (2, P_sr)
    padding = torch.arange(NUM_PADDING, device=Za.device)
    # at least one, so that padding atoms are no atoms without neighbors
    missing = capacity(pairs.shape[1] + 1) - pairs.shape[1]
    pairs = torch.cat((pairs, (padding + len(Za)).flip(0)[:, None].expand(-1, missing)), dim=1)  # (2, capacity)
    place = torch.zeros_like(Ra[:1]).expand(NUM_PADDING, -1).clone()
    place[:, 0] = padding * ((1 - 1e-4) * reach)
    return {
        "Ra": torch.cat((Ra, place)),
        "Za": torch.cat((Za, Za[:1].expand(NUM_PADDING))),
        "N": torch.cat((N, torch.full_like(N[:1], NUM_PADDING))),
        "Q": torch.cat((Q, torch.zeros_like(Q[:1]))),
        "batch": torch.cat((molecule, torch.full_like(molecule[:1], len(N)).expand(NUM_PADDING))),
        "edge_index": torch.cat((pairs, pairs.flip(0)), dim=1),
    }


def capacity(pairs: int) -> int:
    """Return how many pairs a recording has room for: up to 3 % more, but steps of 32."""
    step: int = max(32, 2 ** (pairs.bit_length() - 6))
    return -(-pairs // step) * step


class _GivenPairs(Layer):
    """``Distance`` and ``RangeSeparation`` for a list of P pairs within the cutoff, and then the same reversed."""

    reads = ("Ra", "edge_index")
    writes = tuple(dict.fromkeys((*Distance.writes, *RangeSeparation.writes)))

    def forward(self, Ra: Tensor, edge_index: Tensor) -> Fields:
        pair_index = edge_index[:, : edge_index.shape[1] // 2]  # (2, P)
        Vij = pair_vectors(Ra, pair_index)
        Dij = lengths(Vij)
        of_pairs = {"pair_index": pair_index, "Vij": Vij, "Dij": Dij}
        return {**of_pairs, "edge_index_sr": edge_index, "Vij_sr": Vij, "Dij_sr": Dij}


def with_given_pairs(potential: Potential) -> Potential:
    """Return the same layers, modules and parameters, for neighbor lists that hold what is within the cutoff."""
    layers = [cast(Layer, module) for module in potential.layers if not isinstance(module, Distance)]
    layers = [_GivenPairs() if isinstance(layer, RangeSeparation) else layer for layer in layers]
    # without elements nothing is checked
    inner = Potential(layers, {"untrained": potential.spec.get("untrained", ())})
    inner.atomic_energies, inner.energy_shift = potential.atomic_energies, potential.energy_shift
    inner.train(potential.training)
    return inner
