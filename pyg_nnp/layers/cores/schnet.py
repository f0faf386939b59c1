"""SchNet: continuous-filter convolutions over the pairs within the cutoff."""

from typing import Annotated, Literal, cast

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from pyg_nnp.functional.cutoff import unclamped_cosine
from pyg_nnp.kernels import Edges, Filters, aggregate, filters_of_pairs, shifted_softplus, sort_edges
from pyg_nnp.layers.base import Core, Fields, RadialBasis
from pyg_nnp.layers.filter_table import FilterTable
from pyg_nnp.layers.geometry import Distance
from pyg_nnp.layers.linear import ReadoutLinear, linear


class FilterNetwork(nn.Module):
    r"""The network of a filter as a function of the distance, :math:`D_2\, \mathrm{ssp}(D_1 e(r))`.

    Of ``num_rbf`` K radial basis functions and ``num_filters`` F filters.
    """

    def __init__(self, num_rbf: int, num_filters: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.lin1 = linear(num_rbf, num_filters, True, generator)
        self.lin2 = linear(num_filters, num_filters, True, generator)

    def forward(self, rbf: Tensor) -> Tensor:
        """Return (P, F) filters, not cut off yet, from (P, K) radial basis functions."""
        return self.lin2(shifted_softplus(self.lin1(rbf)))  # type: ignore[no-any-return]


class CFConv(MessagePassing):  # type: ignore[misc]
    r"""Continuous-filter convolution, :math:`x_i \leftarrow D_2 \sum_j W_{ij} \circ D_1 x_j`.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566, eq. 1.

    Messages are multiplied and added up in one operator and never stored. A subclass with a ``message``, ``aggregate``,
    ``update`` or ``aggr`` of its own gets the plain way of PyG: ``message(x_j, W)`` with (2 P, F) features and filters.

    ``dim_embedding`` is the number of features, ``num_filters`` that of filters, F.
    """

    def __init__(self, dim_embedding: int, num_filters: int, generator: torch.Generator | None = None) -> None:
        super().__init__(aggr="add")
        self.lin1 = linear(dim_embedding, num_filters, False, generator)
        self.lin2 = linear(num_filters, dim_embedding, True, generator)

    def forward(self, x: Tensor, edges: Edges, filters: Filters) -> Tensor:
        """Return (A, dim_embedding) new features, from edges and (P, F) filters of P pairs."""
        x = self.lin1(x)
        if self._is_plain_sum():
            return self.lin2(aggregate(filters, x, edges))  # type: ignore[no-any-return]
        W = filters_of_pairs(*filters).repeat(2, 1)  # (2 P, F)
        return self.lin2(self.propagate(edges.edge_index, x=x, W=W, size=(len(x), len(x))))  # type: ignore[no-any-return]

    def _is_plain_sum(self) -> bool:
        ours = all(getattr(type(self), name) is getattr(CFConv, name) for name in ("message", "aggregate", "update"))
        return ours and self.aggr == "add"

    def message(self, x_j: Tensor, W: Tensor) -> Tensor:
        """Multiply (2 P, F) features with the filters."""
        return x_j * W


class SchNetInteraction(nn.Module):
    r"""One interaction, :math:`x_i \leftarrow x_i + D_3\, \mathrm{ssp}(\mathrm{CFConv}(x)_i)`.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566, fig. 2.
    """

    def __init__(
        self, dim_embedding: int, num_rbf: int, num_filters: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.filter_network = FilterNetwork(num_rbf, num_filters, generator)
        self.conv = CFConv(dim_embedding, num_filters, generator)
        self.lin = linear(dim_embedding, dim_embedding, True, generator)

    def forward(self, x: Tensor, edges: Edges, filters: Filters) -> Tensor:
        """Return (A, dim_embedding) new features."""
        return x + self.lin(shifted_softplus(self.conv(x, edges, filters)))  # type: ignore[no-any-return]


class SchNetCore(Core):
    r"""SchNet with a readout of two columns, atomic energy and atomic charge.

    With equal weights the atomic energies are those of ``torch_geometric.nn.models.SchNet``.

    Filters are functions of the distance, and come from a :class:`pyg_nnp.layers.filter_table.FilterTable`.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566.

    Args:
        dim_embedding: number F of features of an atom.
        num_rbf: number K of radial basis functions.
        cutoff_sr: radius at which the cosine cutoff ends the interaction [length].
        num_interactions: number of interactions.
        hidden_channels: number of filters, the width of the filter networks.
        filters: ``table``, or ``exact``: the networks are evaluated at the distance of each pair, slower.
        generator: where the weights are drawn from.

    Reads:
        x: (A, F) features.
        edge_index_sr: (2, 2 P_sr) edges j -> i: pairs within the cutoff, then the same pairs reversed.
        Dij_sr: (P_sr,) distances of the pairs [length].
        rbf: (P_sr, K) radial basis functions of the pairs, or the layer that computes them.

    Writes:
        x: (A, F) features after the last interaction.
        Ea: (A,) atomic energies [energy].
        Qa: (A,) atomic charges [charge].
    """

    reads = ("x", "edge_index_sr", "Dij_sr", "rbf")
    writes = ("x", "Ea", "Qa")
    energy_terms = ("Ea",)
    prepends = (Distance,)

    def __init__(
        self,
        dim_embedding: PositiveInt,
        num_rbf: PositiveInt,
        cutoff_sr: PositiveFloat,
        num_interactions: Annotated[int, Field(ge=0, le=100)] = 6,
        hidden_channels: PositiveInt = 128,
        filters: Literal["table", "exact"] = "table",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.interactions = nn.ModuleList(
            SchNetInteraction(dim_embedding, num_rbf, hidden_channels, generator) for _ in range(num_interactions)
        )
        networks = [cast(SchNetInteraction, interaction).filter_network for interaction in self.interactions]
        self.filter_table = FilterTable(networks, cutoff_sr, unclamped_cosine)
        self.filter_table.exact = filters == "exact"
        self.lin1 = linear(dim_embedding, max(dim_embedding // 2, 1), True, generator, ReadoutLinear)
        self.lin2 = linear(max(dim_embedding // 2, 1), 2, True, generator, ReadoutLinear)

    def forward(self, x: Tensor, edge_index_sr: Tensor, Dij_sr: Tensor, rbf: Tensor | RadialBasis) -> Fields:
        """Return features, atomic energies and charges."""
        edges = sort_edges(edge_index_sr, len(x), x.dtype)
        for interaction, filters in zip(self.interactions, self.filter_table(Dij_sr, rbf), strict=True):
            x = interaction(x, edges, filters)
        readout = self.lin2(shifted_softplus(self.lin1(x))).to(x.dtype)  # (A, 2)
        return {"x": x, "Ea": readout[:, 0], "Qa": readout[:, 1]}
