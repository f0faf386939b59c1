"""Electrostatic energy of the atomic charges."""

from pydantic import PositiveFloat
from torch import Tensor

from pyg_nnp.errors import ConfigError
from pyg_nnp.functional.coulomb import Flavor
from pyg_nnp.functional.geometry import offsets
from pyg_nnp.kernels import coulomb_potential, of_molecules, sum_over_atoms
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.units import BOHR_IN_ANGSTROM


class ElectrostaticEnergy(Layer):
    r"""Coulomb energy of the atomic charges over all pairs, half of each pair's on either atom.

    .. math:: E_i = \frac{k_e}{2 \varepsilon} \sum_{j \neq i} q_i q_j \chi(r_{ij})

    with :math:`\chi` damped at short range (:func:`pyg_nnp.functional.coulomb.damped_coulomb`), a shielding length of
    1 Å in whatever unit the positions have, and :math:`k_e` one Hartree times one Bohr in the units of the data.

    Source: PhysNet, Unke and Meuwly, J. Chem. Theory Comput. 2019, 15, 3678.

    Args:
        cutoff_sr: cutoff of the short-range interaction [length]; the damping ends below it.
        Hartree_in_E: one Hartree in the unit of the energies.
        Bohr_in_R: one Bohr in the unit of the positions.
        cutoff_lr: where the interaction ends [length], by a shifted force; none: nowhere.
        flavor: ``PhysNet`` or ``SpookyNet`` (Unke et al., Nat. Commun. 2021, 12, 7273).
        dielectric_constant: relative permittivity :math:`\varepsilon`.

    Reads:
        Qa: (A,) atomic charges [charge].
        Ra: (A, 3) positions, float64 [length].
        N: (G,) number of atoms.
        batch: (A,) molecule of each atom.

    Writes:
        Ea_electrostatic: (A,) electrostatic energy [energy].
    """

    reads = ("Qa", "Ra", "N", "batch")
    writes = ("Ea_electrostatic",)
    energy_terms = ("Ea_electrostatic",)

    def __init__(
        self,
        cutoff_sr: PositiveFloat,
        Hartree_in_E: PositiveFloat,
        Bohr_in_R: PositiveFloat,
        cutoff_lr: PositiveFloat | None = None,
        flavor: Flavor = "PhysNet",
        dielectric_constant: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        if cutoff_lr is not None and cutoff_lr < cutoff_sr:
            raise ConfigError(
                f"cutoff_lr is {cutoff_lr}, smaller than cutoff_sr, {cutoff_sr}. Choose it larger, or leave it out."
            )
        self.cutoff_sr = cutoff_sr
        self.cutoff_lr = cutoff_lr
        self.flavor: Flavor = flavor
        self.shielding = Bohr_in_R / BOHR_IN_ANGSTROM
        self.prefactor = Hartree_in_E * Bohr_in_R / dielectric_constant

    def forward(self, Qa: Tensor, Ra: Tensor, N: Tensor, batch: Tensor) -> Fields:
        """Return the electrostatic energy of each atom."""
        # positions from the centers of the molecules lose little in the precision of the charges, wherever these are
        center = of_molecules(sum_over_atoms(Ra.detach(), batch, len(N)) / N[:, None], batch)  # (A, 3)
        R = (Ra - center).to(Qa.dtype)  # (A, 3)
        potential = coulomb_potential(Qa, R, offsets(N), self.flavor, self.cutoff_sr, self.shielding, self.cutoff_lr)
        return {"Ea_electrostatic": (0.5 * self.prefactor) * Qa * potential}
