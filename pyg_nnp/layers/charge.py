"""Atomic charges: their sum, dipole moment and electrostatic energy."""

from typing import Literal

import numpy as np
import torch
from ase.data import atomic_masses
from torch import Tensor

from pyg_nnp.kernels import of_molecules, sum_over_atoms
from pyg_nnp.layers.base import Fields, Layer


class ChargeConservation(Layer):
    r"""Shift the predicted charges so that each molecule's add up to its total charge.

    .. math:: q_i \leftarrow q_i - \frac{1}{N} \Big( \sum_{j=1}^{N} q_j - Q \Big)

    Source: PhysNet, Unke and Meuwly, J. Chem. Theory Comput. 2019, 15, 3678, eq. 14.

    Reads:
        Qa: (A,) predicted atomic charges [charge].
        Q: (G,) total charge [charge].
        N: (G,) number of atoms.
        batch: (A,) molecule of each atom.

    Writes:
        Qa: (A,) atomic charges [charge] that add up to ``Q``.
        Q_sum: (G,) what they added up to before [charge].
    """

    reads = ("Qa", "Q", "N", "batch")
    writes = ("Qa", "Q_sum")

    def forward(self, Qa: Tensor, Q: Tensor, N: Tensor, batch: Tensor) -> Fields:
        """Return corrected charges and the sum of the uncorrected."""
        Q_sum = sum_over_atoms(Qa, batch, len(N))
        return {"Qa": Qa - of_molecules((Q_sum - Q) / N, batch), "Q_sum": Q_sum}  # (A,), (G,)


class AtomicCharge2Dipole(Layer):
    r"""Dipole moment of the atomic charges, and of the atomic dipoles where the core predicts them.

    .. math:: \mu = \sum_i q_i (R_i - R_0) + \sum_i \mu_i

    The dipole of a charged molecule depends on the origin :math:`R_0`, and programs differ in it; that of a neutral
    molecule does not.

    Source: PhysNet, Unke and Meuwly, J. Chem. Theory Comput. 2019, 15, 3678.

    Args:
        origin: ``lab`` (the origin of the coordinates), ``center_of_mass`` or ``center_of_nuclear_charge``.
        atomic_dipoles: atomic dipoles are added. Left out: if the core can write them.

    Reads:
        Qa: (A,) atomic charges [charge].
        Ra: (A, 3) positions, float64 [length].
        Za: (A,) atomic numbers.
        N: (G,) number of atoms.
        batch: (A,) molecule of each atom.
        Ma: (A, 3) atomic dipoles [charge*length], with ``atomic_dipoles``.

    Writes:
        M2: (G, 3) dipole moment [charge*length].
    """

    reads: tuple[str, ...] = ("Qa", "Ra", "Za", "N", "batch")
    writes = ("M2",)
    weights: Tensor

    def __init__(
        self,
        origin: Literal["lab", "center_of_mass", "center_of_nuclear_charge"] = "lab",
        atomic_dipoles: bool | None = None,
    ) -> None:
        super().__init__()
        self.origin = origin
        if atomic_dipoles:
            self.reads = (*self.reads, "Ma")
        of_element = atomic_masses if origin == "center_of_mass" else np.arange(len(atomic_masses), dtype=float)
        self.register_buffer("weights", torch.tensor(of_element, dtype=torch.float64), persistent=False)

    def forward(self, Qa: Tensor, Ra: Tensor, Za: Tensor, N: Tensor, batch: Tensor, Ma: Tensor | None = None) -> Fields:
        """Return the dipole moment."""
        R = Ra
        if self.origin != "lab":
            weights = self.weights.index_select(0, Za)[:, None]  # (A, 1)
            center = sum_over_atoms(weights * Ra, batch, len(N)) / sum_over_atoms(weights, batch, len(N))
            R = Ra - of_molecules(center, batch)  # (A, 3)
        of_atoms = Qa[:, None] * R  # (A, 3), float64
        of_atoms = of_atoms if Ma is None else of_atoms + Ma  # (A, 3)
        return {"M2": sum_over_atoms(of_atoms, batch, len(N)).to(Qa.dtype)}  # (G, 3)
