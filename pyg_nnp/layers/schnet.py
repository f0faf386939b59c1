"""SchNet: continuous-filter convolutions over the pairs within the cutoff."""

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal, cast

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from pyg_nnp.functional.cutoff import cosine_cutoff, unclamped_cosine
from pyg_nnp.functional.spline import BLOCK, DEGREE, spline_coefficients, spline_nodes, spline_weights
from pyg_nnp.kernels import Edges, Filters, aggregate, filters_of_pairs, shifted_softplus, sort_edges
from pyg_nnp.layers.base import Core, Fields, RadialFunction
from pyg_nnp.layers.geometry import Distance

log = logging.getLogger(__name__)

# of the slopes of tabulated filters, relative and in the mean over distances; forces are sums of slopes
TOLERANCE = 2e-7
_FEWEST_ROWS, _MOST_ROWS = 64, 4096


def linear(in_features: int, out_features: int, bias: bool, generator: torch.Generator | None) -> nn.Linear:
    """Return a linear layer with Xavier's uniform weights, drawn from ``generator``, and no bias at first."""
    # made without values first: PyTorch's own initialisation would draw from the global generator
    layer = nn.Linear(in_features, out_features, bias=bias, device="meta").to_empty(device=torch.get_default_device())
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class FilterNetwork(nn.Module):
    r"""The network of a filter as a function of the distance, :math:`D_2\, \mathrm{ssp}(D_1 e(r))`.

    Args:
        num_rbf: number K of radial basis functions.
        num_filters: number F of filters.
        generator: where the weights are drawn from.
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

    Args:
        dim_embedding: number of features.
        num_filters: number F of filters.
        generator: where the weights are drawn from.
    """

    def __init__(self, dim_embedding: int, num_filters: int, generator: torch.Generator | None = None) -> None:
        super().__init__(aggr="add")
        self.lin1 = linear(dim_embedding, num_filters, False, generator)
        self.lin2 = linear(num_filters, dim_embedding, True, generator)

    def forward(self, x: Tensor, edges: Edges, filters: Filters) -> Tensor:
        """Return new features.

        Args:
            x: (A, dim_embedding) features.
            edges: P pairs, then the same pairs reversed.
            filters: (P, F) filters of the pairs.
        """
        x = self.lin1(x)
        if self._is_plain_sum():
            return self.lin2(aggregate(filters, x, edges))  # type: ignore[no-any-return]
        W = filters_of_pairs(*filters)
        return self.lin2(  # type: ignore[no-any-return]
            self.propagate(edges.edge_index, x=x, W=torch.cat((W, W)), size=(len(x), len(x)))
        )

    def _is_plain_sum(self) -> bool:
        ours = all(getattr(type(self), name) is getattr(CFConv, name) for name in ("message", "aggregate", "update"))
        return ours and self.aggr == "add"

    def message(self, x_j: Tensor, W: Tensor) -> Tensor:
        """Multiply (2 P, F) features with the filters."""
        return x_j * W


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

    def forward(self, x: Tensor, edges: Edges, filters: Filters) -> Tensor:
        """Return (A, dim_embedding) new features."""
        return x + self.lin(shifted_softplus(self.conv(x, edges, filters)))  # type: ignore[no-any-return]


class SchNetCore(Core):
    r"""SchNet with a readout of two columns, atomic energy and atomic charge.

    With equal weights the atomic energies are those of ``torch_geometric.nn.models.SchNet``.

    A filter :math:`W(r)` is a function of one number. With ``filters: table`` the networks are evaluated at some
    hundred distances only, and between them a quintic spline takes the place of the network, in training too. There are
    as many nodes as let the slopes of the filters be right to 2e-7, whatever the weights.

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
        rbf: (P_sr, K) radial basis functions of the pairs, or the function that gives them.

    Writes:
        x: (A, F) features after the last interaction.
        Ea: (A,) atomic energies [energy].
        Qa: (A,) atomic charges [charge].
    """

    reads = ("x", "edge_index_sr", "Dij_sr", "rbf")
    writes = ("x", "Ea", "Qa")
    energy_terms = ("Ea",)
    prepends = (Distance,)
    functions = ("rbf",)

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
        self.cutoff_sr = cutoff_sr
        self.filters = filters
        # rows of the tables; 0: none is good enough; None: not known yet
        self.num_rows: int | None = None
        # in evaluation they are made once
        self._tables: list[Tensor] = []
        self.interactions = nn.ModuleList(
            SchNetInteraction(dim_embedding, num_rbf, hidden_channels, generator) for _ in range(num_interactions)
        )
        self.lin1 = linear(dim_embedding, max(dim_embedding // 2, 1), True, generator)
        self.lin2 = linear(max(dim_embedding // 2, 1), 2, True, generator)

    def forward(self, x: Tensor, edge_index_sr: Tensor, Dij_sr: Tensor, rbf: Tensor | RadialFunction) -> Fields:
        """Return features, atomic energies and charges."""
        edges = sort_edges(edge_index_sr, len(x), x.dtype)
        for interaction, filters in zip(self.interactions, self._filters(Dij_sr, rbf), strict=True):
            x = interaction(x, edges, filters)
        readout = self.lin2(shifted_softplus(self.lin1(x)))
        return {"x": x, "Ea": readout[:, 0], "Qa": readout[:, 1]}

    def _filters(self, r: Tensor, rbf: Tensor | RadialFunction) -> Iterator[Filters]:
        """Yield the filters of each interaction."""
        if isinstance(rbf, Tensor) or not self.num_rows or self.filters == "exact":
            weights, rows = cosine_cutoff(r, self.cutoff_sr)[:, None], torch.arange(len(r), device=r.device)
            basis = rbf if isinstance(rbf, Tensor) else rbf(r)
            for network in self._networks():
                yield Filters(weights, rows, network(basis))
            return
        weights, rows = spline_weights(r, self.cutoff_sr, self.num_rows - DEGREE)
        nodes = spline_nodes(self.cutoff_sr, self.num_rows, r.device, r.dtype)
        if self.training:
            tables = _tables(self._networks(), rbf, self.cutoff_sr, nodes)
        else:
            with torch.no_grad():
                self._tables = self._tables or list(_tables(self._networks(), rbf, self.cutoff_sr, nodes))
            tables = iter(self._tables)
        for table in tables:
            yield Filters(weights, rows, table)

    def refine(self, functions: Mapping[str, RadialFunction]) -> None:
        """Choose the number of nodes, or the exact filters where no table is good enough, and say so."""
        self._tables = []
        if self.filters == "exact":
            return
        before, reason = self.num_rows, "the radial basis is no elementwise function of Dij_sr alone"
        self.num_rows = 0
        if "rbf" in functions:
            reason = f"no table with up to {_MOST_ROWS} rows is right to {TOLERANCE}"
            networks = [copy.deepcopy(network).double() for network in self._networks()]
            self.num_rows = rows_needed(networks, functions["rbf"], self.cutoff_sr)
        if self.num_rows and self.num_rows != before:
            log.debug("Tables of filters have %d rows.", self.num_rows)
        elif self.num_rows != before:
            log.info("The filters are computed exactly, which takes longer: %s.", reason)

    def get_extra_state(self) -> Tensor:
        """Return the number of rows, which a training that goes on within an epoch needs."""
        return torch.tensor(-1 if self.num_rows is None else self.num_rows)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the number of rows from what was saved."""
        self.num_rows = None if int(state) < 0 else int(state)

    def _networks(self) -> list[FilterNetwork]:
        return [cast(SchNetInteraction, interaction).filter_network for interaction in self.interactions]


def _tables(networks: Sequence[FilterNetwork], rbf: RadialFunction, cutoff: float, nodes: Tensor) -> Iterator[Tensor]:
    """Yield the (R, F) table of each filter network."""
    # one for all networks
    basis = rbf(nodes)
    for network in networks:
        yield spline_coefficients(_filter(network, basis, cutoff, nodes))


def _filter(network: FilterNetwork, basis: Tensor, cutoff: float, r: Tensor) -> Tensor:
    values: Tensor = network(basis)
    return values * unclamped_cosine(r, cutoff)[:, None]


def rows_needed(networks: Sequence[FilterNetwork], rbf: RadialFunction, cutoff: float) -> int:
    """Return how many rows the tables of some filter networks must have for slopes right to ``TOLERANCE``; 0: too many.

    The error is the mean one over distances and filters, relative to the mean slope.

    Args:
        networks: in double precision.
        rbf: the radial basis functions, in double precision.
        cutoff: where the filters end.
    """
    device = next((p.device for network in networks for p in network.parameters()), torch.device("cpu"))
    random = torch.Generator().manual_seed(0)
    # one distance in each of 256 equal parts, so that every block of a table is met, and no NaN in it overlooked
    parts = torch.arange(256) + torch.rand(256, generator=random, dtype=torch.float64)
    r = (parts * (cutoff / 256)).to(device)

    def filters(network: FilterNetwork, places: Tensor) -> Tensor:
        return _filter(network, rbf(places), cutoff, places)

    slopes = [_derivative(partial(filters, network), r) for network in networks]

    def error_of(rows: int) -> float:
        weights, first = spline_weights(r, cutoff, rows - DEGREE, order=1)
        nodes = spline_nodes(cutoff, rows, device, torch.float64)
        largest = 0.0
        for table, slope in zip(_tables(networks, rbf, cutoff, nodes), slopes, strict=True):
            error = float((filters_of_pairs(weights, first, table) - slope).norm() / slope.norm())
            # the radial functions may have a pole
            if not math.isfinite(error):
                return math.inf
            largest = max(largest, error)
        return largest

    def guess(rows: int, error: float) -> int:
        # the error goes with the fifth power of the distance of the nodes
        needed = rows * (error / TOLERANCE) ** (1 / DEGREE)
        return BLOCK * math.ceil(needed / BLOCK) if math.isfinite(error) else _MOST_ROWS + 1

    with torch.no_grad():
        rows = max(guess(512, error_of(512)), _FEWEST_ROWS)
        while rows <= _MOST_ROWS and (error := error_of(rows)) > TOLERANCE:
            rows = max(guess(rows, error), rows + BLOCK)
    return rows if rows <= _MOST_ROWS else 0


def _derivative(function: Callable[[Tensor], Tensor], r: Tensor) -> Tensor:
    """Return (P, F) derivatives of functions of one number, each by its own argument."""
    with torch.enable_grad():
        r = r.clone().requires_grad_()
        values = function(r)
        # the transposed product with the Jacobian, transposed again
        weights = torch.zeros_like(values, requires_grad=True)
        (product,) = torch.autograd.grad((values * weights).sum(), r, create_graph=True)
        (derivatives,) = torch.autograd.grad(product.sum(), weights)
    return derivatives
