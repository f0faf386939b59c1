"""Inputs of a potential filled up with padding, so that shapes do not depend on the number of pairs."""

from typing import cast

import torch
from torch import Tensor

from pyg_nnp.functional.geometry import lengths, pair_vectors
from pyg_nnp.layers import Distance, RangeSeparation
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.potential.potential import Potential

NUM_PADDING = 2
"""Number of padding atoms, a molecule of their own after all others."""


def pairs_within(inputs: Fields, reach: float) -> Tensor:
    """Return (2, P) the pairs of ``edge_index`` nearer than ``reach`` [length], one direction of each."""
    edges = inputs["edge_index"]
    # in the precision in which the tables of filters end there
    near = lengths(pair_vectors(inputs["Ra"], edges).to(inputs["Q"].dtype)) < reach  # (E,)
    return edges[:, near & (edges[0] > edges[1])]  # (2, P)


def capacity(pairs: int) -> int:
    """Return how many pairs there is room for: at least one more, up to 3 % more, but steps of 32.

    One pair of padding atoms is always there, so that they are no atoms without neighbors.
    """
    step: int = max(32, 2 ** ((pairs + 1).bit_length() - 6))
    return -(-(pairs + 1) // step) * step


def filled_up(inputs: Fields, pairs: Tensor, reach: float) -> Fields:
    """Return inputs with padding atoms nearer than ``reach`` [length], and with their pair up to the capacity.

    ``edge_index`` has the (2, P) pairs j -> i, the padding, and then the same reversed.
    """
    Ra, Za, N, Q, molecule = (inputs[name] for name in ("Ra", "Za", "N", "Q", "batch"))
    padding = torch.arange(NUM_PADDING, device=Za.device)
    place = torch.zeros_like(Ra[:1]).expand(NUM_PADDING, -1).clone()  # (2, 3)
    place[:, 0] = padding * ((1 - 1e-4) * reach)
    whole = _whole(pairs, (padding + len(Za)).flip(0)[:, None])  # (2, capacity)
    return {
        "Ra": torch.cat((Ra, place)),
        "Za": torch.cat((Za, Za[:1].expand(NUM_PADDING))),
        "N": torch.cat((N, torch.full_like(N[:1], NUM_PADDING))),
        "Q": torch.cat((Q, torch.zeros_like(Q[:1]))),
        "batch": torch.cat((molecule, torch.full_like(molecule[:1], len(N)).expand(NUM_PADDING))),
        "edge_index": torch.cat((whole, whole.flip(0)), dim=1),
    }


def put_pairs(pairs: Tensor, edge_index: Tensor) -> None:
    """Write (2, P) pairs into an ``edge_index`` of :func:`filled_up` that has room for them."""
    room = edge_index.shape[1] // 2
    whole = _whole(pairs, edge_index[:, room - 1 : room])  # (2, capacity)
    edge_index[:, :room] = whole
    edge_index[:, room:] = whole.flip(0)


def _whole(pairs: Tensor, padding: Tensor) -> Tensor:
    """Return (2, capacity) pairs, then the (2, 1) pair of the padding atoms."""
    missing = capacity(pairs.shape[1]) - pairs.shape[1]
    return torch.cat((pairs, padding.expand(-1, missing)), dim=1)  # (2, capacity)


class _GivenPairs(Distance):
    """``Distance`` and ``RangeSeparation`` for a list of P pairs within the cutoff, and then the same reversed."""

    reads_in_cells = ()
    writes = tuple(dict.fromkeys((*Distance.writes, *RangeSeparation.writes)))

    def forward(self, Ra: Tensor, edge_index: Tensor) -> Fields:  # type: ignore[override]
        pair_index = edge_index[:, : edge_index.shape[1] // 2]  # (2, P)
        Vij = pair_vectors(Ra, pair_index).to(self.precision.dtype)  # (P, 3)
        Dij = lengths(Vij)
        of_pairs = {"pair_index": pair_index, "Vij": Vij, "Dij": Dij}
        return {**of_pairs, "edge_index_sr": edge_index, "Vij_sr": Vij, "Dij_sr": Dij}


def with_given_pairs(potential: Potential) -> Potential:
    """Return the same layers, modules and parameters, for neighbor lists that hold what is within the cutoff."""
    layers = [cast(Layer, module) for module in potential.layers if not isinstance(module, Distance)]
    layers = [_GivenPairs().to(potential.dtype) if isinstance(layer, RangeSeparation) else layer for layer in layers]
    # without elements nothing is checked
    inner = Potential(layers, {"untrained": potential.spec.get("untrained", ())})
    inner.atomic_energies, inner.energy_shift = potential.atomic_energies, potential.energy_shift
    inner.train(potential.training)
    return inner
