"""Scale and shift of atomic properties."""

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from pyg_nnp.layers.base import AtomicNumber, Fields, Layer


class AtomicAffine(Layer):
    r"""Scale and shift atomic energies and charges by learned numbers of each element.

    .. math:: E_i \leftarrow s_{Z_i} E_i + c_{Z_i}, \qquad q_i \leftarrow s'_{Z_i} q_i + c'_{Z_i}

    Source: PhysNet, Unke and Meuwly, J. Chem. Theory Comput. 2019, 15, 3678.

    Args:
        max_Za: largest atomic number.

    Reads:
        Ea: (A,) atomic energies [energy].
        Qa: (A,) atomic charges [charge].
        Za: (A,) atomic numbers.

    Writes:
        Ea: (A,) atomic energies [energy].
        Qa: (A,) atomic charges [charge].
    """

    reads = ("Ea", "Qa", "Za")
    writes = ("Ea", "Qa")
    energy_terms = ("Ea",)

    def __init__(self, max_Za: AtomicNumber) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(max_Za + 1, 2))
        self.shift = nn.Parameter(torch.zeros(max_Za + 1, 2))

    def forward(self, Ea: Tensor, Qa: Tensor, Za: Tensor) -> Fields:
        """Return the scaled and shifted energies and charges."""
        # index_select has atomic additions as its derivative on a GPU
        of_atoms = embedding(Za, torch.cat((self.scale, self.shift), dim=1))  # (A, 4)
        of_Ea, of_Qa, add_Ea, add_Qa = of_atoms.unbind(dim=1)  # (A,)
        return {"Ea": of_Ea * Ea + add_Ea, "Qa": of_Qa * Qa + add_Qa}
