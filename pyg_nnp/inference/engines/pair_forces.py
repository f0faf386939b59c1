"""Energies of atoms and forces of pairs in a part of a system with ghost atoms, for programs that run in several parts.

A program such as LAMMPS deals atoms out among its processes. Each has its own, the local atoms, and copies of those
near its border, the ghosts, which are also what periodic images are. The energies of all local atoms add up to that of
the system, and forces of pairs, of both atoms, add up to those of the atoms when those of ghosts are sent home.
"""

from pathlib import Path

import torch
from torch import Tensor

from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.geometry import of_pairs
from pyg_nnp.functional.neighbor_search import MARGIN
from pyg_nnp.inference.engines.torchscript import AtomicProperties
from pyg_nnp.potential.checkpoint import own_copy
from pyg_nnp.potential.potential import Potential


class PairForces:
    r"""Energies :math:`E_i` of local atoms, and the derivatives of their sum by the vectors of all pairs.

    .. math:: F_k = \sum_p (\delta_{ki} - \delta_{kj}) \frac{\partial E}{\partial V_p}, \quad
        W = \sum_p V_p \otimes \frac{\partial E}{\partial V_p}, \quad V_p = R_j - R_i

    W adds up to the derivative by the strain, the volume times the stress; its negative is what LAMMPS calls virial.

    Args:
        potential: the folder of a trained model, its file, or a loaded potential, of which it takes a copy.
        device: where to evaluate.
        dtype: of evaluations; None takes that of the training.

    Attributes:
        cutoff: pairs that are farther apart do not matter [Å].
        ghost_range: how far from local atoms there must be ghosts: the cutoff times the number of interactions [Å].
        energy_shift: constant that belongs to the energy of a whole system, and to no atom [eV].

    Raises:
        DataError: there is no potential, its units are not known, or all atoms of a system matter to the
            energy of each.
    """

    def __init__(
        self,
        potential: str | Path | Potential,
        *,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype | None = None,
    ) -> None:
        own = own_copy(potential, device, dtype)
        units, self._domain = own.units, own.domain
        self._length, self._energy = units.length, units.in_ase(FIELDS["E"].unit)
        self.energy_shift = float(own.energy_shift) * self._energy
        own.energy_shift.zero_()
        self._properties = AtomicProperties(own, with_charges=False)
        if self._properties.not_local:
            raise DataError(
                f"{self._properties.not_local}. So no part of a system has an energy of its own: take a potential "
                "without that, or an engine that runs in one process, as pyg_nnp.inference.engines.lammps."
            )
        # what is at the cutoff in double precision may be within in that of the potential
        self.cutoff = (1 + MARGIN) * self._properties.reach * self._length
        self.ghost_range = (1 + MARGIN) * self._properties.interaction_range * self._length

    def __call__(self, Za: Tensor, edge_index: Tensor, Vij: Tensor, num_local: int) -> tuple[Tensor, Tensor]:
        """Return energies of the local atoms and derivatives of their sum, of one part of a system.

        Args:
            Za: (A,) int64 atomic numbers, first of the local atoms and then of the ghosts.
            edge_index: (2, E) int64 edges j -> i, ``j, i = edge_index``: both directions of each pair of atoms within
                the cutoff, also of two ghosts. Those beyond do not matter.
            Vij: (E, 3) vectors R_j - R_i of the edges [Å].
            num_local: number of local atoms.

        Returns:
            (num_local,) energies [eV], float64, and (E, 3) derivatives [eV/Å], float64: those of a pair at the edge
            with j > i, and 0 at the reversed one.

        Raises:
            DataError: arrays of other shapes, more edges of one direction than of the other, an element that the
                potential was not trained on, or energies that are no numbers.
        """
        _check(Za, edge_index, Vij, num_local)
        self._domain.refuse_unseen_elements(Za)
        with torch.inference_mode(False), torch.enable_grad():
            V = (Vij.detach().double() / self._length).requires_grad_()  # (E, 3)
            # all atoms at one place, in a cell of unit vectors in which a translation is the vector of the edge
            Ra, cell = V.new_zeros(len(Za), 3), torch.eye(3, dtype=V.dtype, device=V.device)[None]  # (A, 3), (1, 3, 3)
            Q = V.new_zeros(1, dtype=self._properties.dtype)  # (1,), which no layer reads
            energies = self._properties(Ra, Za, Q, edge_index, cell, V)[0][:num_local]  # (num_local,)
            (by_V,) = torch.autograd.grad([energies.sum()], [V], allow_unused=True, materialize_grads=True)  # (E, 3)
        if not bool(energies.isfinite().all() and by_V.isfinite().all()):
            raise _no_numbers(edge_index, Vij)
        return energies.detach() * self._energy, by_V * (self._energy / self._length)


def _check(Za: Tensor, edge_index: Tensor, Vij: Tensor, num_local: int) -> None:
    num_edges = edge_index.shape[-1]
    if edge_index.shape != (2, num_edges) or edge_index.dtype != torch.int64 or Vij.shape != (num_edges, 3):
        raise DataError(
            f"edge_index is {str(edge_index.dtype).removeprefix('torch.')} of shape {tuple(edge_index.shape)}, Vij of "
            f"shape {tuple(Vij.shape)}. Give int64 of shape (2, E), and (E, 3)."
        )
    if not 0 <= num_local <= len(Za):
        raise DataError(f"there are {num_local} local atoms among {len(Za)}. Give 0 to {len(Za)}.")
    if num_edges and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < len(Za):
        raise DataError(f"edge_index names atoms {int(edge_index.min())} to {int(edge_index.max())} of {len(Za)}.")
    if 2 * int(of_pairs(edge_index, Vij).sum()) != num_edges:
        raise DataError(
            "edge_index has pairs in one direction alone. Give both, also of two ghosts; in LAMMPS, "
            "pair_style mliap unified MODEL 1."
        )


def _no_numbers(edge_index: Tensor, Vij: Tensor) -> DataError:
    lengths = Vij.norm(dim=1)  # (E,)
    if not len(lengths):
        return DataError("the energies are no numbers, without any pairs. Is a parameter of the potential a number?")
    j, i = edge_index[:, lengths.argmin()].tolist()
    return DataError(
        f"the energies are no numbers. Nearest are the atoms {i} and {j}, {float(lengths.min()):g} Å apart."
    )
