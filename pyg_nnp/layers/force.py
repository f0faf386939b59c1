"""Forces."""

import torch
from torch import Tensor

from pyg_nnp.kernels import sum_over_ends
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.layers.geometry import Distance


class Force(Layer):
    r"""Forces, minus the gradient of the total energy, by way of the vectors :math:`V_p = R_j - R_i` of the pairs.

    .. math:: F_k = -\frac{\partial E}{\partial R_k}
        - \sum_{p = (j, i)} (\delta_{kj} - \delta_{ki}) \frac{\partial E}{\partial V_p}

    The first term is of what depends on the positions themselves, as Coulomb energies: a potential takes the vectors of
    pairs from a copy of the positions. In training mode the result can be differentiated again, for a loss on forces.

    Reads:
        Ra: (A, 3) positions, float64 [length].
        pair_index: (2, P) pairs, ``j, i = pair_index``.
        Vij: (P, 3) vectors of the pairs, from i to j [length].
        E: (G,) total energy [energy], which was computed from both.

    Writes:
        Fa: (A, 3) forces [energy/length].
        Fij: (P, 3) forces of the pairs [energy/length], minus the derivatives by their vectors.
    """

    reads = ("Ra", "pair_index", "Vij", "E")
    writes = ("Fa", "Fij")
    differentiates = ("Ra", "Vij")
    prepends = (Distance,)
    # it asks for no pair itself
    reach = 0.0

    def forward(self, Ra: Tensor, pair_index: Tensor, Vij: Tensor, E: Tensor) -> Fields:
        """Return the forces."""
        # E may depend on neither, as for atoms without neighbors
        by_Ra, by_Vij = torch.autograd.grad(
            [E.sum()], [Ra, Vij], create_graph=self.training, allow_unused=True, materialize_grads=True
        )
        Fa = sum_over_ends(by_Vij, pair_index, len(Ra)) - by_Ra.to(by_Vij.dtype)  # (A, 3)
        return {"Fa": Fa, "Fij": -by_Vij}
