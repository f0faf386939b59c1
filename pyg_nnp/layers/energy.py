"""Total energy and forces."""

import torch
from torch import Tensor

from pyg_nnp.kernels import sum_over_atoms
from pyg_nnp.layers.base import Fields, Layer


class EnergyReduce(Layer):
    r"""Add up energy terms over the atoms of each molecule, in double precision.

    .. math:: E = \sum_i \sum_t E_i^{(t)}

    Args:
        terms: fields to sum. Left out: all that the layers before declare as energy terms.

    Reads:
        N: (G,) number of atoms.
        batch: (A,) molecule of each atom.
        terms: (A,) each, atomic energies [energy].

    Writes:
        E: (G,) total energy [energy], float64.
    """

    writes = ("E",)

    def __init__(self, terms: list[str]) -> None:
        super().__init__()
        self.reads = ("N", "batch", *terms)

    def forward(self, N: Tensor, batch: Tensor, **terms: Tensor) -> Fields:
        """Return the sum of the terms."""
        atomic = torch.stack([term.double() for term in terms.values()]).sum(dim=0)  # (A,)
        return {"E": sum_over_atoms(atomic, batch, len(N))}
