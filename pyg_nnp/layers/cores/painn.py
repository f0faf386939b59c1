"""PaiNN: messages of scalars and vectors."""

from typing import Annotated, Literal, cast

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import silu

from pyg_nnp.functional.cutoff import unclamped_cosine
from pyg_nnp.kernels import Edges, Filters, aggregate_tensors, sort_edges
from pyg_nnp.layers.base import Core, Fields, RadialBasis
from pyg_nnp.layers.filter_table import FilterTable
from pyg_nnp.layers.geometry import Distance
from pyg_nnp.layers.linear import linear, normal_linear

# below the root of a length, which has no derivative at 0: vectors of lone atoms, and by symmetry, are 0
_EPSILON = 1e-8


class PaiNNInteraction(nn.Module):
    r"""One interaction: messages of scalars and vectors, and an update of each atom by its own.

    .. math::
        s_i &\leftarrow s_i + \sum_j \phi_s(s_j) \circ W_s(r_{ij}) \\
        v_i &\leftarrow v_i + \sum_j \phi_{vv}(s_j) \circ W_{vv}(r_{ij}) \circ v_j
            + \sum_j \phi_{vs}(s_j) \circ W_{vs}(r_{ij})\, u_{ij} \\
        s_i &\leftarrow s_i + a_{ss} + a_{sv} \circ \langle U v_i, V v_i \rangle \\
        v_i &\leftarrow v_i + a_{vv} \circ U v_i

    with functions :math:`\phi = D_2\, \mathrm{silu}(D_1 s_j)` and
    :math:`a = D_4\, \mathrm{silu}(D_3 [s_i, |V v_i|])`, and filters W that are linear in the radial basis.

    Source: PaiNN, Schütt, Unke and Gastegger, ICML 2021, arXiv 2102.03150, eq. 7 to 10.

    Args:
        dim_embedding: number F of features.
        num_rbf: number K of radial basis functions.
        takes_vectors: the neighbors have vectors already; before the first interaction they are 0.
        updates_vectors: vectors are needed after it; after the last interaction they may not be.
        generator: where the weights are drawn from.
    """

    def __init__(
        self, dim_embedding: int, num_rbf: int, takes_vectors: bool, updates_vectors: bool,
        generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        width, num_filters = dim_embedding, 3 if takes_vectors else 2
        self.filter_network = linear(num_rbf, num_filters * width, True, generator)  # W_s, W_vs, W_vv
        self.source1 = linear(width, width, True, generator)
        self.source2 = linear(width, num_filters * width, True, generator)  # phi_s, phi_vs, phi_vv
        self.mix = linear(width, 2 * width, False, generator)  # U, V
        self.lin1 = linear(2 * width, width, True, generator)
        self.lin2 = linear(width, (3 if updates_vectors else 2) * width, True, generator)  # a_ss, a_sv, a_vv

    def forward(self, s: Tensor, v: Tensor, u: Tensor, edges: Edges, filters: Filters) -> tuple[Tensor, Tensor]:
        """Return new (A, F) s and (A, 3, F) v; before the first interaction there is no v, (0, 3, F).

        ``u``: (P, 3) directions of the pairs.
        """
        F = s.shape[1]
        phi, *phi_vv = self.source2(silu(self.source1(s))).split(2 * F, dim=1)  # (A, 2 F), (A, F)
        x = phi_vv[0][:, None] * v if len(v) else v  # (A, 3, F)
        no_matrices = s.new_empty(0, 5, F)  # (0, 5, F)
        ds, dv, _ = aggregate_tensors(filters, u, phi, x, no_matrices, edges)  # (A, F), (A, 3, F)
        s, v = s + ds, v + dv if len(v) else dv
        of_U, of_V = self.mix(v).split(F, dim=2)  # (A, 3, F), (A, 3, F)
        length = (of_V.square().sum(dim=1) + _EPSILON).sqrt()  # (A, F)
        a_ss, a_sv, *a_vv = self.lin2(silu(self.lin1(torch.cat((s, length), dim=1)))).split(F, dim=1)  # (A, F) each
        s = s + a_ss + a_sv * (of_U * of_V).sum(dim=1)  # (A, F)
        if a_vv:
            v = v + a_vv[0][:, None] * of_U  # (A, 3, F)
        return s, v


class PaiNNCore(Core):
    r"""PaiNN, messages of scalars and vectors, with a readout of atomic energy, charge and dipole.

    Atoms have features of two kinds: s (A, F), and v (A, 3, F), which rotates with the molecule; see
    :class:`PaiNNInteraction`. It is the published network, but that weights which make no difference are left out:
    those that multiply the vectors before the first interaction, which are 0, and those that change the vectors after
    the last one where there are no atomic dipoles. The published radial basis is ``BesselBasis``, up to factors.

    .. math:: (E_i, q_i) = D_2\, \mathrm{silu}(D_1 s_i), \qquad \mu_i = r_{sr}\, v_i w

    Filters are functions of the distance, and come from a :class:`pyg_nnp.layers.filter_table.FilterTable`.

    Source: PaiNN, Schütt, Unke and Gastegger, ICML 2021, arXiv 2102.03150; the readout of
    charges and dipoles is our own.

    Args:
        dim_embedding: number F of features of each kind.
        num_rbf: number K of radial basis functions.
        cutoff_sr: radius at which the cosine cutoff ends the interaction [length].
        num_interactions: number of interactions.
        filters: ``table``, or ``exact``: filters are evaluated at the distance of each pair, slower.
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
        num_interactions: Annotated[int, Field(ge=1, le=100)] = 3,
        filters: Literal["table", "exact"] = "table",
        atomic_dipoles: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        width, last = dim_embedding, num_interactions - 1
        self.interactions = nn.ModuleList(
            PaiNNInteraction(width, num_rbf, n > 0, n < last or bool(atomic_dipoles), generator)
            for n in range(num_interactions)
        )
        networks = [cast(PaiNNInteraction, interaction).filter_network for interaction in self.interactions]
        self.filter_table = FilterTable(networks, cutoff_sr, unclamped_cosine)
        self.filter_table.exact = filters == "exact"
        self.lin1 = linear(width, max(width // 2, 1), True, generator)
        self.lin2 = linear(max(width // 2, 1), 2, True, generator)
        # the cutoff is the length that makes dipoles independent of the unit of length
        self.length = cutoff_sr
        self.dipole = normal_linear(width, 1, False, generator, 0.05) if atomic_dipoles else None
        if atomic_dipoles:
            self.writes = (*self.writes, "Ma")

    def forward(
        self, x: Tensor, edge_index_sr: Tensor, Vij_sr: Tensor, Dij_sr: Tensor, rbf: Tensor | RadialBasis
    ) -> Fields:
        """Return features, atomic energies, charges and dipoles."""
        edges = sort_edges(edge_index_sr, len(x), x.dtype)
        u = Vij_sr / Dij_sr[:, None]  # (P, 3)
        s, v = x, x.new_empty(0, 3, x.shape[1])  # (A, F), (0, 3, F)
        for interaction, filters in zip(self.interactions, self.filter_table(Dij_sr, rbf), strict=True):
            s, v = interaction(s, v, u, edges, filters)
        readout = self.lin2(silu(self.lin1(s)))  # (A, 2)
        written = {"x": s, "Ea": readout[:, 0], "Qa": readout[:, 1]}
        return written if self.dipole is None else written | {"Ma": self.length * self.dipole(v)[:, :, 0]}  # (A, 3)
