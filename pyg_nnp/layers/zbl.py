"""Repulsion of the nuclei at short distances."""

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from pyg_nnp.errors import ConfigError
from pyg_nnp.functional.cutoff import smooth_switch
from pyg_nnp.functional.zbl import screened_repulsion
from pyg_nnp.kernels import sum_over_groups
from pyg_nnp.layers.base import Fields, Layer


class ZBL(Layer):
    r"""Screened repulsion of the nuclei, which keeps atoms apart where there are no data.

    .. math:: E_i = \frac{s k_e}{2} \sum_{j \neq i} \frac{Z_i Z_j}{r_{ij}} \phi(r_{ij} / a_{ij}) f(r_{ij})

    with the universal screening function :math:`\phi` (:func:`pyg_nnp.functional.zbl.screened_repulsion`), and a smooth
    switch f from 1 at half of the cutoff to 0 at the cutoff. It counts as a part of the labels: the core learns the
    rest.

    Source: Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Solids, Pergamon, New York 1985.

    Args:
        cutoff_sr: cutoff of the short-range interaction [length].
        Hartree_in_E: one Hartree in the unit of the energies.
        Bohr_in_R: one Bohr in the unit of the positions.
        cutoff_repulsion: where it ends [length], at most ``cutoff_sr``; none: there.
        scale: the factor s.
        learned: whether the factor is learned; it stays positive.

    Reads:
        Za: (A,) atomic numbers.
        edge_index_sr: (2, 2 P_sr) edges j -> i: pairs within the cutoff, then the same pairs reversed.
        Dij_sr: (P_sr,) distances of the pairs [length].

    Writes:
        Ea_zbl: (A,) energy of repulsion [energy].
    """

    reads = ("Za", "edge_index_sr", "Dij_sr")
    writes = ("Ea_zbl",)
    energy_terms = ("Ea_zbl",)

    def __init__(
        self,
        cutoff_sr: PositiveFloat,
        Hartree_in_E: PositiveFloat,
        Bohr_in_R: PositiveFloat,
        cutoff_repulsion: PositiveFloat | None = None,
        scale: PositiveFloat = 1.0,
        learned: bool = False,
    ) -> None:
        super().__init__()
        self.cutoff = cutoff_sr if cutoff_repulsion is None else cutoff_repulsion
        if self.cutoff > cutoff_sr:
            raise ConfigError(
                f"cutoff_repulsion is {cutoff_repulsion}, larger than cutoff_sr, {cutoff_sr}, where the pairs end. "
                "Choose it smaller, or leave it out."
            )
        self.bohr, self.prefactor = Bohr_in_R, scale * Hartree_in_E * Bohr_in_R
        # of what is learned beyond the scale
        self.log_factor = nn.Parameter(torch.zeros(())) if learned else None

    def forward(self, Za: Tensor, edge_index_sr: Tensor, Dij_sr: Tensor) -> Fields:
        """Return the energy of repulsion of each atom."""
        i, j = edge_index_sr[:, : Dij_sr.shape[0]]
        Z = Za.to(Dij_sr.dtype)
        first, second = Z.index_select(0, i), Z.index_select(0, j)  # (P_sr,)
        switch = smooth_switch(Dij_sr, 0.5 * self.cutoff, self.cutoff)  # (P_sr,)
        of_pairs = (0.5 * self.prefactor) * screened_repulsion(Dij_sr, first, second, self.bohr) * switch  # (P_sr,)
        of_edges = torch.cat((of_pairs, of_pairs))[:, None]  # (2 P_sr, 1)
        of_atoms = sum_over_groups(of_edges, edge_index_sr[1], Za.shape[0])[:, 0]  # (A,)
        return {"Ea_zbl": of_atoms if self.log_factor is None else self.log_factor.exp() * of_atoms}
