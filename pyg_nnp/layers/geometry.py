"""From positions to pairs and distances."""

import torch
from pydantic import PositiveFloat
from torch import Tensor

from pyg_nnp.functional.geometry import pair_distances
from pyg_nnp.layers.base import Fields, Layer


class Distance(Layer):
    r"""Pairs of the neighbor list and their distances :math:`r_{ij} = |R_i - R_j|`.

    All that belongs to a pair (distance, filter, Coulomb energy) is computed once, for i < j.

    Reads:
        Ra: (A, 3) positions [length].
        edge_index: (2, E) neighbor list with both directions of each pair.

    Writes:
        pair_index: (2, P) pairs i < j.
        Dij: (P,) distances [length].
    """

    reads = ("Ra", "edge_index")
    writes = ("pair_index", "Dij")
    # it asks for no pair itself, but passes on what there is
    reach = 0.0

    def forward(self, Ra: Tensor, edge_index: Tensor) -> Fields:
        """Return pairs and distances."""
        pair_index = edge_index[:, edge_index[0] < edge_index[1]]
        return {"pair_index": pair_index, "Dij": pair_distances(Ra, pair_index)}


class RangeSeparation(Layer):
    r"""Keep the pairs within the short-range cutoff, :math:`r_{ij} < r_{sr}`.

    Args:
        cutoff_sr: cutoff radius [length].

    Reads:
        pair_index: (2, P) pairs i < j.
        Dij: (P,) distances [length].

    Writes:
        edge_index_sr: (2, 2 P_sr) edges j -> i: the P_sr pairs within the cutoff, then the same pairs reversed.
        Dij_sr: (P_sr,) distances of the pairs [length].
    """

    reads = ("pair_index", "Dij")
    writes = ("edge_index_sr", "Dij_sr")

    def __init__(self, cutoff_sr: PositiveFloat) -> None:
        super().__init__()
        self.cutoff_sr = self.reach = cutoff_sr

    def forward(self, pair_index: Tensor, Dij: Tensor) -> Fields:
        """Return edges and distances within the cutoff."""
        within = (Dij < self.cutoff_sr).nonzero().squeeze(1)
        pairs = pair_index.index_select(1, within)
        return {"edge_index_sr": torch.cat([pairs, pairs.flip(0)], dim=1), "Dij_sr": Dij.index_select(0, within)}
