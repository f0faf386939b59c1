"""A network of scalars, vectors and symmetric traceless matrices: Cartesian tensors up to rank 2."""

from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from pyg_nnp.functional.cutoff import unclamped_polynomial
from pyg_nnp.functional.harmonics import harmonics
from pyg_nnp.kernels import Edges, Filters, aggregate_tensors, invariants, products, sort_edges
from pyg_nnp.layers.base import Core, Fields, RadialBasis
from pyg_nnp.layers.cores.cartesian_autograd import Given, Inside, Layers, Pairs, Weights, interact
from pyg_nnp.layers.filter_table import FilterTable
from pyg_nnp.layers.geometry import Distance
from pyg_nnp.layers.linear import AFTER_SILU, Linear, normal_linear


class TensorFilterNetwork(nn.Module):
    r"""The filters of the three degrees as functions of the distance, :math:`n^{-1/2} D_2\, \mathrm{silu}(D_1 e(r))`.

    Of ``num_rbf`` K radial basis functions, through ``hidden_channels`` numbers, to 3 times ``dim_embedding`` F.

    Attributes:
        num_neighbors: the mean number n of neighbors.
    """

    num_neighbors: Tensor

    def __init__(
        self, num_rbf: int, hidden_channels: int, dim_embedding: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.lin1 = normal_linear(num_rbf, hidden_channels, True, generator)
        self.lin2 = normal_linear(hidden_channels, 3 * dim_embedding, True, generator, AFTER_SILU)
        self.register_buffer("num_neighbors", torch.tensor(16.0))

    def forward(self, rbf: Tensor) -> Tensor:
        """Return (P, 3 F) filters, not cut off yet, from (P, K) radial basis functions."""
        return self.lin2(silu(self.lin1(rbf))) * self.num_neighbors.rsqrt()  # type: ignore[no-any-return]


def interaction(pairs: Pairs, given: Given, layers: Layers) -> tuple[tuple[Tensor, ...], Inside]:
    """Return new s, and as many of v and t as are updated, by :class:`CartesianInteraction`, and what is inside."""
    s, v, t, y, b, table = given
    F = s.shape[1]
    a = layers.source(s)  # (A, 3 F)
    messages = aggregate_tensors(Filters(b, pairs.rows, table), y, a, v, t, pairs.edges)
    M0, M1, M2 = (mix(m) for mix, m in zip(layers.mix, messages, strict=True))  # (A, F), (A, 3, F), (A, 5, F)
    h = layers.lin1(torch.cat((s, M0, invariants(M1, M2)), dim=1))  # (A, F), from z (A, 5 F)
    g = layers.lin2(silu(h))  # (A, F), (A, 3 F) or (A, 6 F)
    new = [s + g[:, :F]]
    if layers.update:
        # without t there are no gates for it
        changes = products(pad(g[:, F:], (0, 6 * F - g.shape[1])), M1, M2)  # (A, 3, F), (A, 5, F)
        for x, change, update in zip((v, t), changes, layers.update, strict=False):
            new.append(_updated(x, update(change)))
    return tuple(new), Inside(a, M1, M2, h, g[:, F:])


class CartesianInteraction(nn.Module):
    r"""One interaction: messages of three degrees, their products, and gates from what no rotation changes.

    .. math::
        a^l &= W_a^l s, \qquad
        m^l_i = \sum_j w_l(r_{ij}) \circ (y_l(u_{ij})\, a^l_j + x^l_j), \qquad M^l = W_M^l m^l \\
        z &= [s,\ M^0,\ |M^1|^2 / 3,\ |M^2|^2 / 5,\ M^1 \cdot T M^1], \qquad
        g = W_2\, \mathrm{silu}(W_1 z) \\
        s &\leftarrow s + g_0 \\
        v &\leftarrow v + W_v (g_1 \circ M^1 + g_2 \circ T M^1) \\
        t &\leftarrow t + W_t (g_3 \circ M^2 + g_4 \circ [M^1 M^1]_2 + g_5 \circ [T T]_2)

    where x is nothing, v and t in degree 0, 1 and 2, T is the matrix of :math:`M^2`, and :math:`[\cdot]_2` the
    symmetric traceless part. Only features up to ``degree`` are updated: the last interaction needs s, or s and v.
    """

    def __init__(
        self, dim_embedding: int, num_rbf: int, hidden_channels: int, degree: int,
        generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        width, num_gates = dim_embedding, (1, 3, 6)[degree]
        self.filter_network = TensorFilterNetwork(num_rbf, hidden_channels, width, generator)
        self.source = normal_linear(width, 3 * width, False, generator)  # W_a
        self.mix = nn.ModuleList(normal_linear(width, width, False, generator) for _ in range(3))  # W_M
        self.lin1 = normal_linear(5 * width, width, True, generator)
        self.lin2 = normal_linear(width, num_gates * width, True, generator, 0.5 * AFTER_SILU)
        # W_v and W_t
        self.update = nn.ModuleList(normal_linear(width, width, False, generator) for _ in range(degree))

    def forward(
        self, s: Tensor, v: Tensor, t: Tensor, y: Tensor, edges: Edges, filters: Filters
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return new (A, F) s, (A, 3, F) v and (A, 5, F) t; before the first update there are no v and t, (0, 3, F)."""
        given, pairs = Given(s, v, t, y, filters.weights, filters.table), Pairs(filters.rows, edges)
        layers = Layers(self.source, [*self.mix], self.lin1, self.lin2, [*self.update])
        weights = Weights.of_layers(layers, (Linear, nn.Linear))
        s, *updated = interact(interaction, pairs, given, weights) if weights else interaction(pairs, given, layers)[0]
        v, t = (*updated, *(v, t)[len(updated) :])
        return s, v, t

    @torch.no_grad()
    def initialise(
        self, s: Tensor, v: Tensor, t: Tensor, y: Tensor, edges: Edges, filters: Filters
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scale weights so that messages, invariants, products, and v and t, have a mean square of 1.

        Neighbors of one element add up coherently, so that no choice of weights alone has this. The arguments are those
        of ``forward``, and the filters those of the networks as they were.
        """
        F = s.shape[1]
        messages = aggregate_tensors(filters, y, self.source(s), v, t, edges)
        scales = [_unit(mix(m)) for mix, m in zip(self.mix, messages, strict=True)]
        M0, M1, M2 = (scale * mix(m) for scale, mix, m in zip(scales, self.mix, messages, strict=True))
        of_filters = torch.stack(scales).repeat_interleave(F)  # (3 F,)
        self.filter_network.lin2.weight *= of_filters[:, None]  # (3 F, hidden)
        self.filter_network.lin2.bias.mul_(of_filters)
        for part, z in enumerate((s, M0, *torch.split(invariants(M1, M2), F, dim=1))):
            self.lin1.weight[:, part * F : (part + 1) * F] *= _unit(z)
        for gate, kind in ((2, 0), (4, 1), (5, 1)):
            if gate * F < len(self.lin2.weight):
                one = s.new_zeros(len(s), 5, F)  # (A, 5, F)
                one[:, gate - 1] = 1
                of_gate = products(one.flatten(1), M1, M2)[kind]  # (A, 3, F) or (A, 5, F)
                self.lin2.weight[gate * F : (gate + 1) * F] *= _unit(of_gate)
        g = self.lin2(silu(self.lin1(torch.cat((s, M0, invariants(M1, M2)), dim=1))))  # (A, F), (A, 3 F) or (A, 6 F)
        changes = products(pad(g[:, F:], (0, 6 * F - g.shape[1])), M1, M2)
        for update, change, x in zip(self.update, changes, (v, t), strict=False):
            # what there is already has a mean square of 1
            cast(nn.Linear, update).weight.mul_(_unit(update(change)) * (0.5 if len(x) else 1))
        return self.forward(s, v, t, y, edges, filters._replace(table=filters.table * of_filters))


def _unit(x: Tensor) -> Tensor:
    """Return what x has to be multiplied with for a mean square of 1; 1 where it is 0 everywhere."""
    scale = x.square().mean().rsqrt()
    return torch.where(scale.isfinite(), scale, 1)


def _updated(x: Tensor, change: Tensor) -> Tensor:
    return x + change if len(x) else change


class CartesianCore(Core):
    r"""Messages of scalars, vectors and symmetric traceless matrices, that is of Cartesian tensors up to rank 2.

    Atoms have features of all three kinds: s (A, F), v (A, 3, F) and t (A, 5, F), of which v and t rotate with the
    molecule. Each message is a filter of the distance times a harmonic of the direction,
    :math:`y_0 = 1,\ y_1 = \sqrt3 u,\ y_2 = \sqrt{15/2}\,(u u^T - \tfrac13 1)`, times features of the neighbor; see
    :class:`CartesianInteraction`. Products of messages see angles between three and four atoms in one interaction. It
    learns forces from far fewer frames than SchNet, which sees distances alone.

    .. math:: (E_i / E_0,\ q_i / q_0) = D_2\, \mathrm{silu}(D_1 s_i), \qquad \mu_i = q_0 r_{sr}\, v_i w

    where :math:`E_0` [energy] and :math:`q_0` [charge] are from the data; :meth:`scale_outputs` sets them.

    Args:
        dim_embedding: number F of features of each kind.
        num_rbf: number K of radial basis functions.
        cutoff_sr: radius at which a polynomial cutoff ends the interaction [length].
        num_interactions: number of interactions.
        hidden_channels: width of the filter networks.
        filters: ``table``, or ``exact``: the networks are evaluated at the distance of each pair, slower.
        atomic_dipoles: atomic dipoles are written. Left out: if ``AtomicCharge2Dipole`` is among the layers.
        generator: where the weights are drawn from.

    Reads:
        x: (A, F) features.
        edge_index_sr: (2, 2 P_sr) edges j -> i: pairs within the cutoff, then the same pairs reversed.
        Vij_sr: (P_sr, 3) vectors of the pairs, from i to j [length].
        Dij_sr: (P_sr,) distances of the pairs [length].
        rbf: (P_sr, K) radial basis functions of the pairs, or the layer that computes them.

    Writes:
        x: (A, F) features after the last interaction.
        Ea: (A,) atomic energies [energy].
        Qa: (A,) atomic charges [charge].
        Ma: (A, 3) atomic dipoles [charge*length], with ``atomic_dipoles``.
    """

    reads = ("x", "edge_index_sr", "Vij_sr", "Dij_sr", "rbf")
    writes: tuple[str, ...] = ("x", "Ea", "Qa")
    energy_terms = ("Ea",)
    prepends = (Distance,)

    def __init__(
        self,
        dim_embedding: PositiveInt,
        num_rbf: PositiveInt,
        cutoff_sr: PositiveFloat,
        num_interactions: Annotated[int, Field(ge=1, le=100)] = 2,
        hidden_channels: PositiveInt = 64,
        filters: Literal["table", "exact"] = "table",
        atomic_dipoles: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        width, of_last = dim_embedding, 1 if atomic_dipoles else 0
        degrees = [2] * (num_interactions - 1) + [of_last]
        self.interactions = nn.ModuleList(
            CartesianInteraction(width, num_rbf, hidden_channels, degree, generator) for degree in degrees
        )
        networks = [cast(CartesianInteraction, interaction).filter_network for interaction in self.interactions]
        self.filter_table = FilterTable(networks, cutoff_sr, unclamped_polynomial)
        self.filter_table.exact = filters == "exact"
        self.lin1 = normal_linear(width, max(width // 2, 1), True, generator)
        self.lin2 = normal_linear(max(width // 2, 1), 2, True, generator, 0.3 * AFTER_SILU)
        self.scales = nn.Buffer(torch.ones(2))
        # the cutoff is the length that makes dipoles independent of the unit of length
        self.length = cutoff_sr
        self.dipole = normal_linear(width, 1, False, generator, 0.05) if atomic_dipoles else None
        if atomic_dipoles:
            self.writes = (*self.writes, "Ma")

    @torch.no_grad()
    def initialise(self, **fields: Any) -> None:
        """Scale the weights, layer by layer, so that all features have a mean square of 1 in a sample of the data."""
        x, r, rbf = fields["x"], fields["Dij_sr"], fields["rbf"]
        if len(r) == 0:
            return
        edges, y = sort_edges(fields["edge_index_sr"], len(x), x.dtype), harmonics(fields["Vij_sr"], r, 2)
        basis = rbf if isinstance(rbf, Tensor) else rbf.expand(r)  # (P, K)
        rows, cut = torch.arange(len(r), device=r.device), unclamped_polynomial(r, self.length)[:, None]  # (P,), (P, 1)
        s, v, t = x, x.new_empty(0, 3, x.shape[1]), x.new_empty(0, 5, x.shape[1])  # v and t (0, ..., F)
        for module in self.interactions:
            interaction = cast(CartesianInteraction, module)
            network = interaction.filter_network
            network.num_neighbors.fill_(2 * len(r) / len(x))
            s, v, t = interaction.initialise(s, v, t, y, edges, Filters(cut, rows, network(basis)))

    def scale_outputs(self, energy: float, charge: float) -> None:
        """Set what the network's atomic energies and charges are multiplied with."""
        self.scales.copy_(torch.tensor((energy, charge)))

    def forward(
        self, x: Tensor, edge_index_sr: Tensor, Vij_sr: Tensor, Dij_sr: Tensor, rbf: Tensor | RadialBasis
    ) -> Fields:
        """Return features, atomic energies, charges and dipoles."""
        edges = sort_edges(edge_index_sr, len(x), x.dtype)
        y = harmonics(Vij_sr, Dij_sr, 2)  # (P, 8)
        s, v, t = x, x.new_empty(0, 3, x.shape[1]), x.new_empty(0, 5, x.shape[1])  # v and t (0, ..., F)
        for interaction, filters in zip(self.interactions, self.filter_table(Dij_sr, rbf), strict=True):
            s, v, t = interaction(s, v, t, y, edges, filters)
        readout = self.scales * self.lin2(silu(self.lin1(s)))  # (A, 2)
        written = {"x": s, "Ea": readout[:, 0], "Qa": readout[:, 1]}
        Ma = self.dipole and self.length * self.scales[1] * self.dipole(v)[:, :, 0]  # (A, 3)
        return written if Ma is None else written | {"Ma": Ma}
