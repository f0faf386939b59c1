"""Dispersion energy, which semilocal density functionals lack."""

import numpy as np
from pydantic import PositiveFloat
from torch import Tensor

from pyg_nnp.functional.dispersion import Array, Method, damping_of, dispersion_of, energies_of
from pyg_nnp.kernels import of_molecules
from pyg_nnp.layers.base import Fields, Layer


class Dispersion(Layer):
    r"""Dispersion energy of Grimme's models, for a functional whose labels lack it, or as a part of those that have it.

    .. math:: E = -\sum_{i < j} \sum_{n = 6, 8} s_n \frac{C_n^{ij}}{r_{ij}^n + f(R_0^{ij})^n} + E_3

    It has no parameters to learn, and is computed by the reference programs s-dftd3 and dftd4 (``dftd3`` and ``dftd4``
    of PyPI) on the CPU, in molecules and bulk, where both end at 60 Bohr. Where the labels have it, the core learns the
    rest.

    Source: D3(BJ): Grimme, Ehrlich and Goerigk, J. Comput. Chem. 2011, 32, 1456. D4: Caldeweyher et al., J. Chem. Phys.
    2019, 150, 154122.

    Args:
        functional: name of the density functional that the damping was fitted to, such as ``pbe``.
        Hartree_in_E: one Hartree in the unit of the energies.
        Bohr_in_R: one Bohr in the unit of the positions.
        method: ``D3``, with the damping of Becke and Johnson, or ``D4``.
        three_body: whether the energy of triples :math:`E_3` is part of it; none: in D4 alone, as usual.

    Reads:
        Ra: (A, 3) positions, float64 [length].
        Za: (A,) atomic numbers.
        N: (G,) number of atoms.
        Q: (G,) total charge [charge].
        batch: (A,) molecule of each atom.
        cell: (G, 3, 3) lattice vectors, float64 [length]; in cells.
        pbc: (G, 3) whether each direction is periodic; in cells.

    Writes:
        Ea_dispersion: (A,) the energy of its molecule, in equal shares [energy].
    """

    reads = ("Ra", "Za", "N", "Q", "batch")
    reads_in_cells = ("cell", "pbc")
    writes = ("Ea_dispersion",)
    energy_terms = ("Ea_dispersion",)
    is_on_device = False
    not_in_slabs = (
        "sums over images in all three: in slabs s-dftd3 and dftd4 give energies that change when the slab is turned. "
        "Take the layer out, or let the slab be periodic in all directions, with vacuum"
    )

    def __init__(
        self,
        functional: str,
        Hartree_in_E: PositiveFloat,
        Bohr_in_R: PositiveFloat,
        method: Method = "D3",
        three_body: bool | None = None,
    ) -> None:
        super().__init__()
        self.method: Method = method
        self.functional = functional
        self.three_body = method == "D4" if three_body is None else three_body
        self.hartree, self.bohr = Hartree_in_E, Bohr_in_R
        # that mistakes are told when the potential is built
        damping_of(self.method, self.functional, self.three_body)

    def forward(
        self,
        Ra: Tensor,
        Za: Tensor,
        N: Tensor,
        Q: Tensor,
        batch: Tensor,
        cell: Tensor | None = None,
        pbc: Tensor | None = None,
    ) -> Fields:
        """Return the shares of the atoms."""
        damping = damping_of(self.method, self.functional, self.three_body)
        ends, numbers, charges = N.cumsum(0).tolist(), Za.cpu().numpy(), Q.tolist()
        systems = [slice(end - n, end) for end, n in zip(ends, N.tolist(), strict=True)]
        is_cell = [False] * len(N) if pbc is None else pbc.any(dim=1).tolist()

        def compute(positions: Array, cells: Array) -> tuple[Array, Array, Array]:
            of_systems = [
                dispersion_of(self.method, damping, numbers[rows], positions[rows], charge, h if periodic else None)
                for rows, charge, h, periodic in zip(systems, charges, cells, is_cell, strict=True)
            ]
            E, by_Ra, by_cell = zip(*of_systems, strict=True)
            E, by_Ra, by_cell = zip(*of_systems, strict=True)
            return np.array(E), np.concatenate(by_Ra), np.stack(by_cell)  # (G,), (A, 3), (G, 3, 3)

        cells = Ra.new_zeros(len(N), 3, 3) if cell is None else cell / self.bohr  # (G, 3, 3)
        energies = energies_of(compute, Ra / self.bohr, cells, batch) * self.hartree  # (G,)
        return {"Ea_dispersion": of_molecules(energies / N, batch).to(Q.dtype)}  # (A,)
