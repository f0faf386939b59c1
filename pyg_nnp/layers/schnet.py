"""SchNet: continuous-filter convolutions over the pairs within the cutoff."""

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from pyg_nnp.functional.activation import shifted_softplus
from pyg_nnp.functional.cutoff import cosine_cutoff
from pyg_nnp.layers.base import Core, Fields
from pyg_nnp.layers.geometry import Distance


def linear(in_features: int, out_features: int, bias: bool, generator: torch.Generator | None) -> nn.Linear:
    """Return a linear layer with Xavier's uniform weights, drawn from ``generator``, and no bias at first."""
    # made without values first: PyTorch's own initialisation would draw from the global generator
    layer = nn.Linear(in_features, out_features, bias=bias, device="meta").to_empty(device="cpu")
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class FilterNetwork(nn.Module):
    r"""The filter of a pair as a function of its distance, :math:`W(r) = C(r)\, D_2\, \mathrm{ssp}(D_1 e(r))`.

    Args:
        num_rbf: number K of radial basis functions.
        num_filters: number F of filters.
        generator: where the weights are drawn from.
    """

    def __init__(self, num_rbf: int, num_filters: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.lin1 = linear(num_rbf, num_filters, True, generator)
        self.lin2 = linear(num_filters, num_filters, True, generator)

    def forward(self, rbf: Tensor, cutoff: Tensor) -> Tensor:
        """Return (P, F) filters from (P, K) radial basis functions and (P,) values of the cutoff function."""
        filters: Tensor = self.lin2(shifted_softplus(self.lin1(rbf)))
        return filters * cutoff[:, None]


class CFConv(MessagePassing):  # type: ignore[misc]
    r"""Continuous-filter convolution, :math:`x_i \leftarrow D_2 \sum_j W_{ij} \circ D_1 x_j`.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566, eq. 1.

    Args:
        dim_embedding: number of features.
        num_filters: number F of filters.
        generator: where the weights are drawn from.
    """

    def __init__(self, dim_embedding: int, num_filters: int, generator: torch.Generator | None = None) -> None:
        super().__init__(aggr="add")
        self.lin1 = linear(dim_embedding, num_filters, False, generator)
        self.lin2 = linear(num_filters, dim_embedding, True, generator)

    def forward(self, x: Tensor, edge_index: Tensor, W: Tensor) -> Tensor:
        """Return new features.

        Args:
            x: (A, dim_embedding) features.
            edge_index: (2, 2 P) edges j -> i: P pairs, then the same pairs reversed.
            W: (P, F) filters of the pairs.
        """
        aggregated = self.propagate(edge_index, x=self.lin1(x), W=W, size=(len(x), len(x)))
        return self.lin2(aggregated)  # type: ignore[no-any-return]

    def message(self, x_j: Tensor, W: Tensor) -> Tensor:
        """Multiply (2 P, F) features with the filters; both directions of a pair share one."""
        return (x_j.view(2, *W.shape) * W).view(x_j.shape)


class SchNetInteraction(nn.Module):
    r"""One interaction, :math:`x_i \leftarrow x_i + D_3\, \mathrm{ssp}(\mathrm{CFConv}(x)_i)`.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566, fig. 2.

    Args:
        dim_embedding: number of features.
        num_rbf: number of radial basis functions.
        num_filters: number of filters.
        generator: where the weights are drawn from.
    """

    def __init__(
        self, dim_embedding: int, num_rbf: int, num_filters: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.filter_network = FilterNetwork(num_rbf, num_filters, generator)
        self.conv = CFConv(dim_embedding, num_filters, generator)
        self.lin = linear(dim_embedding, dim_embedding, True, generator)

    def forward(self, x: Tensor, edge_index: Tensor, rbf: Tensor, cutoff: Tensor) -> Tensor:
        """Return (A, dim_embedding) new features."""
        W = self.filter_network(rbf, cutoff)
        return x + self.lin(shifted_softplus(self.conv(x, edge_index, W)))  # type: ignore[no-any-return]


class SchNetCore(Core):
    r"""SchNet with a readout of two columns, atomic energy and atomic charge.

    With equal weights the atomic energies are those of ``torch_geometric.nn.models.SchNet``.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566.

    Args:
        dim_embedding: number F of features of an atom.
        num_rbf: number K of radial basis functions.
        cutoff_sr: radius at which the cosine cutoff ends the interaction [length].
        num_interactions: number of interactions.
        hidden_channels: number of filters, the width of the filter networks.
        generator: where the weights are drawn from.

    Reads:
        x: (A, F) features.
        edge_index_sr: (2, 2 P_sr) edges j -> i: pairs within the cutoff, then the same pairs reversed.
        Dij_sr: (P_sr,) distances of the pairs [length].
        rbf: (P_sr, K) radial basis functions of the pairs.

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
        num_interactions: NonNegativeInt = 6,
        hidden_channels: PositiveInt = 128,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.cutoff_sr = cutoff_sr
        self.interactions = nn.ModuleList(
            SchNetInteraction(dim_embedding, num_rbf, hidden_channels, generator) for _ in range(num_interactions)
        )
        self.lin1 = linear(dim_embedding, max(dim_embedding // 2, 1), True, generator)
        self.lin2 = linear(max(dim_embedding // 2, 1), 2, True, generator)

    def forward(self, x: Tensor, edge_index_sr: Tensor, Dij_sr: Tensor, rbf: Tensor) -> Fields:
        """Return features, atomic energies and charges."""
        cutoff = cosine_cutoff(Dij_sr, self.cutoff_sr)
        for interaction in self.interactions:
            x = interaction(x, edge_index_sr, rbf, cutoff)
        readout = self.lin2(shifted_softplus(self.lin1(x)))
        return {"x": x, "Ea": readout[:, 0], "Qa": readout[:, 1]}
