"""Electrostatic energy of the atomic charges."""

import logging
from collections.abc import Callable

import torch
from pydantic import PositiveFloat
from torch import Tensor

from pyg_nnp.errors import ConfigError
from pyg_nnp.functional.coulomb import Flavor, damped_coulomb
from pyg_nnp.functional.ewald import mesh_potential, screened_part, screening
from pyg_nnp.functional.geometry import offsets, select_edges
from pyg_nnp.kernels import coulomb_potential, of_groups, of_molecules, sum_over_atoms, sum_over_groups
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.layers.geometry import Distance
from pyg_nnp.units import BOHR_IN_ANGSTROM

log = logging.getLogger(__name__)

_CHARGED = 1e-3  # total charge of a cell, beyond the rounding of a sum


class ElectrostaticEnergy(Layer):
    r"""Coulomb energy of the atomic charges over all pairs, half of each pair's on either atom.

    .. math:: E_i = \frac{k_e}{2 \varepsilon} \sum_{j \neq i} q_i q_j \chi(r_{ij})

    with :math:`\chi` damped at short range (:func:`pyg_nnp.functional.coulomb.damped_coulomb`), a shielding length of
    1 Å in whatever unit the positions have, and :math:`k_e` one Hartree times one Bohr in the units of the data.

    In a periodic cell the sum is over all images too, by a smooth particle-mesh Ewald sum
    (:func:`pyg_nnp.functional.ewald.mesh_potential`) whose pairs end at ``cutoff_sr``: in bulk surrounded by a
    conductor, and with a uniform background that makes a charged cell neutral; of slabs alone in vacuum.

    Source: PhysNet, Unke and Meuwly, J. Chem. Theory Comput. 2019, 15, 3678.

    Args:
        cutoff_sr: cutoff of the short-range interaction [length]; the damping ends below it.
        Hartree_in_E: one Hartree in the unit of the energies.
        Bohr_in_R: one Bohr in the unit of the positions.
        cutoff_lr: where the interaction ends [length], by a shifted force; none: nowhere. Not in periodic cells.
        flavor: ``PhysNet`` or ``SpookyNet`` (Unke et al., Nat. Commun. 2021, 12, 7273).
        dielectric_constant: relative permittivity :math:`\varepsilon`.

    Reads:
        Qa: (A,) atomic charges [charge].
        Ra: (A, 3) positions, float64 [length].
        N: (G,) number of atoms.
        batch: (A,) molecule of each atom.
        pair_index: (2, P) pairs, ``j, i = pair_index``; in cells.
        Dij: (P,) distances of the pairs [length]; in cells.
        cell: (G, 3, 3) lattice vectors, float64 [length]; in cells.
        pbc: (G, 3) whether each direction is periodic; in cells.

    Writes:
        Ea_electrostatic: (A,) electrostatic energy [energy].
    """

    reads = ("Qa", "Ra", "N", "batch")
    reads_in_cells = ("pair_index", "Dij", "cell", "pbc")
    writes = ("Ea_electrostatic",)
    energy_terms = ("Ea_electrostatic",)
    prepends = (Distance,)
    not_in_wires = (
        "sums charges over images in two or three. Take the layer out, or let the wire be periodic in all directions, "
        "with so much vacuum that its images do not matter"
    )

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
        if cutoff_lr is not None:
            self.not_in_cells = (
                "ends at cutoff_lr, which a sum over all images does not. Leave cutoff_lr out, for molecules as well"
            )
        self.cutoff_sr = self.reach = cutoff_sr
        self.cutoff_lr = cutoff_lr
        self.flavor: Flavor = flavor
        self.shielding = Bohr_in_R / BOHR_IN_ANGSTROM
        self.prefactor = Hartree_in_E * Bohr_in_R / dielectric_constant
        self._has_told = False

    def forward(
        self,
        Qa: Tensor,
        Ra: Tensor,
        N: Tensor,
        batch: Tensor,
        pair_index: Tensor | None = None,
        Dij: Tensor | None = None,
        cell: Tensor | None = None,
        pbc: Tensor | None = None,
    ) -> Fields:
        """Return the electrostatic energy of each atom."""
        if pair_index is None or Dij is None or cell is None or pbc is None:
            return {"Ea_electrostatic": (0.5 * self.prefactor) * Qa * self._of_molecules(Qa, Ra, N, batch)}
        is_cell = pbc.any(dim=1)  # (G,)
        potential = self._of_pairs(Qa, pair_index, Dij, is_cell.index_select(0, batch))  # (A,)
        parts: tuple[tuple[Tensor, Callable[..., Tensor], tuple[Tensor, ...]], ...] = (
            (~is_cell, self._of_molecules, (N,)),
            (is_cell, self._of_images, (cell, pbc)),
        )
        for found, part, given in parts:
            chosen = found.nonzero()[:, 0]  # (G',) molecules or cells
            if len(chosen):
                atoms = found.index_select(0, batch).nonzero()[:, 0]  # (A',)
                number = found.cumsum(0).index_select(0, batch.index_select(0, atoms)) - 1  # (A',)
                q, R = Qa.index_select(0, atoms), Ra.index_select(0, atoms)  # (A',), (A', 3)
                of_systems = [values.index_select(0, chosen) for values in given]  # (G', ...)
                potential = potential.index_add(0, atoms, part(q, R, *of_systems, number))  # (A,)
        return {"Ea_electrostatic": (0.5 * self.prefactor) * Qa * potential}

    def _of_molecules(self, Qa: Tensor, Ra: Tensor, N: Tensor, batch: Tensor) -> Tensor:
        """Return the potential at (A,) atoms of molecules."""
        # positions from the centers of the molecules lose little in the precision of the charges, wherever these are
        center = of_molecules(sum_over_atoms(Ra.detach(), batch, len(N)) / N[:, None], batch)  # (A, 3)
        R = (Ra - center).to(Qa.dtype)  # (A, 3)
        return coulomb_potential(Qa, R, offsets(N), self.flavor, self.cutoff_sr, self.shielding, self.cutoff_lr)

    def _of_images(self, Qa: Tensor, Ra: Tensor, cell: Tensor, pbc: Tensor, batch: Tensor) -> Tensor:
        """Return the potential at (A,) atoms of cells, but for what pairs have at short range."""
        if not self._has_told:
            charge = float((sum_over_atoms(Qa.detach(), batch, len(cell)).abs() * pbc.all(dim=1)).max())
            self._has_told = charge > _CHARGED
            if self._has_told:
                log.info(
                    "ElectrostaticEnergy: the charges of a cell add up to %.3g in magnitude; a uniform background "
                    "makes such cells neutral, and is part of their energies and stress.",
                    charge,
                )
        return mesh_potential(Qa, Ra, cell, pbc, batch, screening(self.cutoff_sr, Qa.dtype))

    def _of_pairs(self, Qa: Tensor, pair_index: Tensor, Dij: Tensor, is_in_cell: Tensor) -> Tensor:
        """Return, (A,), what pairs in cells have at short range beside their part of the sum over images."""
        near = ((Dij < self.cutoff_sr) & is_in_cell.index_select(0, pair_index[1])).nonzero()[:, 0]  # (P',)
        j, i = select_edges(pair_index, near)  # (P',) each
        r = Dij.index_select(0, near)  # (P',)
        alpha = screening(self.cutoff_sr, Qa.dtype)
        chi = damped_coulomb(r, self.cutoff_sr, self.shielding, self.flavor) - screened_part(r, alpha)  # (P',)
        at_ends = of_groups(Qa[:, None], torch.cat((j, i))) * torch.cat((chi, chi))[:, None]  # (2 P', 1)
        return sum_over_groups(at_ends, torch.cat((i, j)), len(Qa))[:, 0]  # (A,)
