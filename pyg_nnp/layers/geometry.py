"""From positions to pairs, their vectors, distances and radial functions."""

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from pyg_nnp.functional.geometry import lengths, of_pairs, pair_vectors, select_edges, translation_vectors
from pyg_nnp.functional.radial import bessel_basis, gaussian_basis
from pyg_nnp.layers.base import Fields, Layer, RadialBasis


class Distance(Layer):
    r"""Pairs of the neighbor list, their vectors :math:`V_{ij}` and distances :math:`r_{ij} = |V_{ij}|`.

    .. math:: V_{ij} = R_j - R_i + T_{ij} h

    with the lattice vectors h as rows; without a periodic cell the last term is missing.
    All that belongs to a pair (distance, filter) is computed once, and depends on the positions through these alone.
    Differences are taken in the precision of the positions, and then rounded to that of the potential: so they are as
    good far from the origin as near it.

    Reads:
        Ra: (A, 3) positions, float64 [length].
        edge_index: (2, E) edges j -> i, both directions of each pair.
        batch: (A,) molecule of each atom; in cells.
        cell: (G, 3, 3) lattice vectors, float64 [length]; in cells.
        Tij: (E, 3) lattice translations of the edges; in cells.

    Writes:
        pair_index: (2, P) pairs, ``j, i = pair_index`` with i < j, in the order of their edges j -> i; of an atom and
            its own images those with a positive translation.
        Vij: (P, 3) vectors from i to j [length].
        Dij: (P,) distances [length].
    """

    reads = ("Ra", "edge_index")
    reads_in_cells: tuple[str, ...] = ("batch", "cell", "Tij")
    writes: tuple[str, ...] = ("pair_index", "Vij", "Dij")
    # it asks for no pair itself, but passes on what there is
    reach = 0.0
    precision: Tensor

    def __init__(self) -> None:
        super().__init__()
        # of no length: it is cast with the potential, so that its type is that of the potential
        self.register_buffer("precision", torch.empty(0), persistent=False)

    def forward(
        self,
        Ra: Tensor,
        edge_index: Tensor,
        batch: Tensor | None = None,
        cell: Tensor | None = None,
        Tij: Tensor | None = None,
    ) -> Fields:
        """Return pairs, vectors and distances."""
        pairs = of_pairs(edge_index, Tij).nonzero()[:, 0]  # (P,)
        pair_index = select_edges(edge_index, pairs)  # (2, P), in less time than by a mask
        Vij = pair_vectors(Ra, pair_index)  # (P, 3)
        if batch is not None and cell is not None and Tij is not None:
            T, of_pair = Tij.index_select(0, pairs), batch.index_select(0, pair_index[1])  # (P, 3), (P,)
            Vij = Vij + translation_vectors(T, cell, of_pair)  # (P, 3)
        Vij = Vij.to(self.precision.dtype)  # (P, 3)
        return {"pair_index": pair_index, "Vij": Vij, "Dij": lengths(Vij)}


class RangeSeparation(Layer):
    r"""Keep the pairs within the short-range cutoff, :math:`r_{ij} < r_{sr}`.

    Args:
        cutoff_sr: cutoff radius [length].

    Reads:
        pair_index: (2, P) pairs, ``j, i = pair_index``.
        Vij: (P, 3) vectors from i to j [length].
        Dij: (P,) distances [length].

    Writes:
        edge_index_sr: (2, 2 P_sr) edges j -> i: the P_sr pairs within the cutoff, then the same pairs reversed.
        Vij_sr: (P_sr, 3) vectors of the pairs, from i to j [length]; those of the reversed pairs are the negative ones.
        Dij_sr: (P_sr,) distances of the pairs [length].
    """

    reads = ("pair_index", "Vij", "Dij")
    writes = ("edge_index_sr", "Vij_sr", "Dij_sr")

    def __init__(self, cutoff_sr: PositiveFloat) -> None:
        super().__init__()
        self.cutoff_sr = self.reach = cutoff_sr

    def forward(self, pair_index: Tensor, Vij: Tensor, Dij: Tensor) -> Fields:
        """Return edges, vectors and distances within the cutoff."""
        within = (Dij < self.cutoff_sr).nonzero()[:, 0]  # (P_sr,)
        pairs = select_edges(pair_index, within)  # (2, P_sr)
        return {
            "edge_index_sr": torch.cat([pairs, pairs.flip(0)], dim=1),  # (2, 2 P_sr)
            "Vij_sr": Vij.index_select(0, within),  # (P_sr, 3)
            "Dij_sr": Dij.index_select(0, within),  # (P_sr,)
        }


class GaussianSmearing(RadialBasis):
    r"""Expand distances in equally spaced Gaussians.

    .. math:: e_k(r) = \exp\Big(-\frac{(r - \mu_k)^2}{2 \sigma^2}\Big), \quad
        \mu_k = k \sigma, \quad \sigma = \frac{r_{sr}}{K - 1}

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566

    Args:
        num_rbf: number K of Gaussians.
        cutoff_sr: position of the last one [length].

    Reads:
        Dij_sr: (P_sr,) distances of the pairs within the cutoff [length].

    Writes:
        rbf: (P_sr, K) values of the Gaussians.
    """

    centers: Tensor

    def __init__(self, num_rbf: Annotated[int, Field(ge=2, le=10_000)], cutoff_sr: PositiveFloat) -> None:
        super().__init__()
        self.width = cutoff_sr / (num_rbf - 1)
        self.register_buffer("centers", torch.linspace(0, cutoff_sr, num_rbf, dtype=torch.float64), persistent=False)

    def expand(self, r: Tensor) -> Tensor:
        """Return the Gaussians."""
        return gaussian_basis(r, self.centers, self.width)


class BesselBasis(RadialBasis):
    r"""Expand distances in spherical Bessel functions of order 0.

    .. math:: e_n(r) = \frac{\sqrt2 \sin(n \pi x)}{n \pi x}, \quad x = \frac{r}{r_{sr}}, \quad n = 1 \dots K

    Few of them say as much as many Gaussians; 20 are enough for a cutoff of 5 Å.

    Source: DimeNet, Gasteiger, Groß and Günnemann, ICLR 2020, arXiv 2003.03123.

    Args:
        num_rbf: number K of functions.
        cutoff_sr: where all of them are 0 [length].

    Reads:
        Dij_sr: (P_sr,) distances of the pairs within the cutoff [length].

    Writes:
        rbf: (P_sr, K) values of the functions.
    """

    wave_numbers: Tensor

    def __init__(self, num_rbf: PositiveInt, cutoff_sr: PositiveFloat) -> None:
        super().__init__()
        self.cutoff_sr = cutoff_sr
        self.register_buffer("wave_numbers", torch.arange(1, num_rbf + 1, dtype=torch.float64), persistent=False)

    def expand(self, r: Tensor) -> Tensor:
        """Return the Bessel functions."""
        return bessel_basis(r, self.wave_numbers, self.cutoff_sr)
