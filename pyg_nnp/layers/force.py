"""Forces and stress."""

import torch
from torch import Tensor

from pyg_nnp.functional.geometry import voigt
from pyg_nnp.kernels import sum_over_atoms, sum_over_ends, sum_over_groups
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.layers.geometry import Distance


class Force(Layer):
    r"""Forces, minus the gradient of the total energy, by way of the vectors :math:`V_p = R_j - R_i` of the pairs.

    .. math:: F_k = -\frac{\partial E}{\partial R_k}
        - \sum_{p = (j, i)} (\delta_{kj} - \delta_{ki}) \frac{\partial E}{\partial V_p}

    The first term is of what depends on the positions themselves, as Coulomb energies: a potential takes the vectors of
    pairs from a copy of the positions. In cells with the lattice vectors h as rows, :class:`Stress` needs the same of
    the strain, where R and h are stretched alike:

    .. math:: W = \sum_i R_i \otimes \frac{\partial E}{\partial R_i} + h^T \frac{\partial E}{\partial h}

    In training mode the result can be differentiated again, for a loss on forces.

    Reads:
        Ra: (A, 3) positions, float64 [length].
        pair_index: (2, P) pairs, ``j, i = pair_index``.
        Vij: (P, 3) vectors of the pairs, from i to j [length].
        E: (G,) total energy [energy], which was computed from both.
        batch: (A,) molecule of each atom; in cells.
        cell: (G, 3, 3) lattice vectors, float64 [length]; in cells.

    Writes:
        Fa: (A, 3) forces [energy/length].
        Fij: (P, 3) forces of the pairs [energy/length], minus the derivatives by their vectors.
        W: (G, 6) derivatives by the strain at fixed vectors of the pairs [energy], in the order xx, yy, zz, yz, xz, xy;
            0 without cells.
    """

    reads = ("Ra", "pair_index", "Vij", "E")
    reads_in_cells = ("batch", "cell")
    writes = ("Fa", "Fij", "W")
    differentiates = ("Ra", "Vij", "cell")
    prepends = (Distance,)
    # it asks for no pair itself
    reach = 0.0

    def forward(
        self,
        Ra: Tensor,
        pair_index: Tensor,
        Vij: Tensor,
        E: Tensor,
        batch: Tensor | None = None,
        cell: Tensor | None = None,
    ) -> Fields:
        """Return the forces."""
        given = [Ra, Vij] if cell is None else [Ra, Vij, cell]
        # E may depend on none, as for atoms without neighbors
        by_Ra, by_Vij, *by_cell = torch.autograd.grad(
            [E.sum()], given, create_graph=self.training, allow_unused=True, materialize_grads=True
        )
        # in the precision of positions: forces of pairs nearly cancel where many neighbors are around an atom
        Fa = (sum_over_ends(by_Vij.to(Ra.dtype), pair_index, len(Ra)) - by_Ra).to(by_Vij.dtype)  # (A, 3)
        W = Fa.new_zeros(len(E), 6)  # (G, 6)
        if batch is not None and cell is not None:
            of_positions = sum_over_atoms(voigt(Ra[:, :, None] * by_Ra[:, None, :]), batch, len(E))  # (G, 6)
            # both are large in large cells, and all but their sum is rounding in double precision
            W = (of_positions + voigt(cell.transpose(1, 2) @ by_cell[0])).to(W.dtype)  # (G, 6)
        return {"Fa": Fa, "Fij": -by_Vij, "W": W}


class Stress(Layer):
    r"""Stress, the derivative of the total energy by the strain, divided by the volume of the cell.

    .. math:: \sigma = \frac{1}{V} \frac{\partial E}{\partial \varepsilon}
        = \frac{1}{V} \Big( -\sum_p V_p \otimes F_p + W \Big)

    with what :class:`Force` finds: the forces of the pairs, and W of what depends on positions and cell themselves, as
    the energy of charges in a cell. The sign is that of ASE: it is positive where the cell would shrink. For slabs it
    refers to the volume of the cell that they are in; it is 0 where that has none, and for molecules. In training mode
    it can be differentiated again, for a loss on it.

    Source: Thompson, Plimpton and Mattson, J. Chem. Phys. 2009, 131, 154107.

    Reads:
        pair_index: (2, P) pairs, ``j, i = pair_index``.
        Vij: (P, 3) vectors of the pairs, from i to j [length].
        Fij: (P, 3) forces of the pairs [energy/length].
        W: (G, 6) derivatives by the strain at fixed vectors of the pairs [energy].
        batch: (A,) molecule of each atom.
        cell: (G, 3, 3) lattice vectors, float64 [length]; in cells.
        pbc: (G, 3) whether each of them is periodic, 1 or 0; in cells.

    Writes:
        S: (G, 6) stress [energy/length^3], in the order xx, yy, zz, yz, xz, xy.
    """

    reads = ("pair_index", "Vij", "Fij", "W", "batch")
    reads_in_cells = ("cell", "pbc")
    writes = ("S",)
    prepends = (Distance,)
    # it asks for no pair itself
    reach = 0.0

    def forward(
        self,
        pair_index: Tensor,
        Vij: Tensor,
        Fij: Tensor,
        W: Tensor,
        batch: Tensor,
        cell: Tensor | None = None,
        pbc: Tensor | None = None,
    ) -> Fields:
        """Return the stress."""
        if cell is None or pbc is None:
            return {"S": torch.zeros_like(W)}
        virials = voigt(-Vij[:, :, None] * Fij[:, None, :]).to(cell.dtype)  # (P, 6)
        by_strain = sum_over_groups(virials, batch.index_select(0, pair_index[1]), len(W)) + W  # (G, 6)
        volume = torch.linalg.det(cell.detach()).abs()  # (G,)
        per_volume = torch.where((volume > 0) & pbc.any(dim=1), 1 / volume, 0.0)  # (G,)
        return {"S": (by_strain * per_volume[:, None]).to(Fij.dtype)}  # (G, 6)
