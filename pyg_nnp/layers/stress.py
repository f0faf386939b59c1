"""Stress of periodic cells."""

import torch
from torch import Tensor

from pyg_nnp.functional.geometry import voigt
from pyg_nnp.kernels import sum_over_groups
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.layers.geometry import Distance


class Stress(Layer):
    r"""Stress, the derivative of the total energy by the strain, divided by the volume of the cell.

    .. math:: \sigma = \frac{1}{V} \frac{\partial E}{\partial \varepsilon}
        = \frac{1}{V} \Big( -\sum_p V_p \otimes F_p + W \Big)

    with what :class:`Force` finds: the forces of the pairs, and W of what depends on positions and cell themselves, as
    the energy of charges in a cell. The sign is that of ASE: it is positive where the cell would shrink. It is 0 for
    molecules, and for slabs refers to the volume of the cell that they are in. In training mode it can be
    differentiated again, for a loss on it.

    Source: Thompson, Plimpton and Mattson, J. Chem. Phys. 2009, 131, 154107.

    Reads:
        pair_index: (2, P) pairs, ``j, i = pair_index``.
        Vij: (P, 3) vectors of the pairs, from i to j [length].
        Fij: (P, 3) forces of the pairs [energy/length].
        W: (G, 6) derivatives by the strain at fixed vectors of the pairs [energy].
        batch: (A,) molecule of each atom.
        cell: (G, 3, 3) lattice vectors, float64 [length]; in cells.

    Writes:
        S: (G, 6) stress [energy/length^3], in the order xx, yy, zz, yz, xz, xy.
    """

    reads = ("pair_index", "Vij", "Fij", "W", "batch")
    reads_in_cells = ("cell",)
    writes = ("S",)
    prepends = (Distance,)
    # it asks for no pair itself
    reach = 0.0

    def forward(
        self, pair_index: Tensor, Vij: Tensor, Fij: Tensor, W: Tensor, batch: Tensor, cell: Tensor | None = None
    ) -> Fields:
        """Return the stress."""
        if cell is None:
            return {"S": torch.zeros_like(W)}
        virials = voigt(-Vij[:, :, None] * Fij[:, None, :]).to(cell.dtype)  # (P, 6)
        by_strain = sum_over_groups(virials, batch.index_select(0, pair_index[1]), len(W)) + W  # (G, 6)
        volume = torch.linalg.det(cell.detach()).abs()  # (G,)
        per_volume = torch.where(volume > 0, 1 / volume, 0.0)  # (G,)
        return {"S": (by_strain * per_volume[:, None]).to(Fij.dtype)}  # (G, 6)
