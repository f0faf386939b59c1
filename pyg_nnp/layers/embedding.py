"""From atomic numbers and total charges to features."""

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from pyg_nnp.kernels import of_molecules, sum_over_atoms
from pyg_nnp.layers.base import AtomicNumber, Fields, Layer


class RandomAtomEmbedding(Layer):
    r"""Give each element a learned vector of features, :math:`x_i = a_{Z_i}`, drawn from a normal distribution.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566

    Args:
        dim_embedding: number F of features.
        max_Za: largest atomic number.
        generator: where the first values are drawn from.

    Reads:
        Za: (A,) atomic numbers.

    Writes:
        x: (A, F) features of the atoms.
    """

    reads = ("Za",)
    writes = ("x",)

    def __init__(
        self, dim_embedding: PositiveInt, max_Za: AtomicNumber, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(max_Za + 1, dim_embedding, generator=generator))

    def forward(self, Za: Tensor) -> Fields:
        """Look the features up."""
        return {"x": nn.functional.embedding(Za, self.weight)}


class ChargeEmbedding(Layer):
    r"""Tell the atoms of a molecule its total charge, so that all that follows from their features depends on it.

    .. math::
        x_i \leftarrow x_i + Q\, \sigma_i\, v_\pm, \qquad E_i = Q\, \sigma_i\, \varepsilon_\pm, \qquad
        \sigma_i = \frac{\exp(k_\pm \cdot x_i)}{\sum_j \exp(k_\pm \cdot x_j)}

    with learned vectors k and v and an energy :math:`\varepsilon` each for positive and for negative charges: molecules
    lose electrons in another way than they take them up. Vectors begin as 0, energies as what is fitted to the training
    data, or 0: charges of a sign that these do not have make no difference.

    The shares :math:`\sigma_i` of the atoms add up to 1: the features of a molecule change by :math:`Q v` and its
    energy by :math:`Q \varepsilon` in total, whatever its size, as energies of ionisation do not grow with the number
    of atoms. Nothing here changes with the positions, and with Q it is linear but for a kink at 0, such as the exact
    energy has at each whole charge. The shares follow from the features alone: two molecules far apart in one frame
    divide the charge by their elements.

    Source: features after SpookyNet, Unke et al., Nat. Commun. 2021, 12, 7273, with a softmax for the shares and
    without the network that follows there; the energy is our own.

    Args:
        dim_embedding: number F of features.

    Reads:
        x: (A, F) features of the atoms.
        Q: (G,) total charge [charge].
        N: (G,) number of atoms.
        batch: (A,) molecule of each atom.

    Writes:
        x: (A, F) features of the atoms.
        Ea_charge: (A,) share of each atom in the energy of the total charge [energy].
    """

    reads = ("x", "Q", "N", "batch")
    writes = ("x", "Ea_charge")
    energy_terms = ("Ea_charge",)

    def __init__(self, dim_embedding: PositiveInt) -> None:
        super().__init__()
        # the first row is for positive charges
        self.keys = nn.Parameter(torch.zeros(2, dim_embedding))
        self.values = nn.Parameter(torch.zeros(2, dim_embedding))
        self.energies = nn.Parameter(torch.zeros(2))

    def start_with(self, energies: Tensor) -> None:
        """Set the (2,) energies of a positive and of a negative unit of charge [energy]."""
        with torch.no_grad():
            self.energies.copy_(energies)

    def forward(self, x: Tensor, Q: Tensor, N: Tensor, batch: Tensor) -> Fields:
        """Return the changed features, and the energies."""
        charges = torch.stack((Q.clamp(min=0), Q.clamp(max=0)), dim=1)  # (G, 2), of which one is 0
        shares = _softmax(x @ self.keys.T, batch, len(N))  # (A, 2)
        shared = shares * charges.index_select(0, batch)  # (A, 2)
        return {"x": x + shared @ self.values, "Ea_charge": shared @ self.energies}  # (A, F), (A,)


def _softmax(x: Tensor, batch: Tensor, num_molecules: int) -> Tensor:
    """Return (A, K) numbers in the ratios of exp(x), which add up to 1 in each molecule."""
    lowest = x.new_full((num_molecules, x.shape[1]), -torch.inf)  # (G, K)
    highest = lowest.scatter_reduce(0, batch[:, None].expand_as(x), x.detach(), "amax")  # (G, K)
    weights = (x - highest.index_select(0, batch)).exp()  # (A, K)
    return weights / of_molecules(sum_over_atoms(weights, batch, num_molecules), batch)
