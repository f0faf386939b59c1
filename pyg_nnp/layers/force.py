"""Forces."""

import torch
from torch import Tensor

from pyg_nnp.layers.base import Fields, Layer


class Force(Layer):
    r"""Forces, minus the gradient of the total energy.

    .. math:: F_i = -\frac{\partial E}{\partial R_i}

    In training mode the result can be differentiated again, for a loss on forces.

    Reads:
        Ra: (A, 3) positions [length], which ``E`` was computed from.
        E: (G,) total energy [energy].

    Writes:
        Fa: (A, 3) forces [energy/length].
    """

    reads = ("Ra", "E")
    writes = ("Fa",)
    differentiates = ("Ra",)

    def forward(self, Ra: Tensor, E: Tensor) -> Fields:
        """Return the forces."""
        # E may not depend on Ra at all, as for atoms without neighbours
        (gradient,) = torch.autograd.grad(
            [E.sum()], [Ra], create_graph=self.training, allow_unused=True, materialize_grads=True
        )
        return {"Fa": -gradient}
