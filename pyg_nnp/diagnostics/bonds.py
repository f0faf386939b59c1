"""The force constant of bonds of hydrogen, which tells sign and unit of forces without energies."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch

from pyg_nnp.diagnostics.statistics import Slope, slope_of, stiffness
from pyg_nnp.functional.geometry import bonds_of_hydrogen

if TYPE_CHECKING:
    from torch_geometric.data import Data

# Harmonic force constants of bonds of H to C, N and O as they come out of forces at some hundred kelvin
_STIFFNESS = {6: 0.28, 7: 0.36, 8: 0.44}  # Hartree/Bohr²


def stiffness_of_bonds(
    batches: "Iterable[Data]", hartree: float | None, bohr: float | None
) -> tuple[Slope | None, float | None]:
    """Return the force constant of bonds of hydrogen, and how many times the usual it is in some units.

    Args:
        batches: with ``Ra``, ``Za``, ``Fa`` and ``edge_index``.
        hartree: one Hartree in the unit of energies, if it is known.
        bohr: one Bohr in the unit of positions, if it is known.
    """
    element, bond = _most_common_bonds(batches)
    if element not in _STIFFNESS or bond.number < 30 or abs(bond.correlation) < 0.8:
        return None, None
    if hartree is None or bohr is None:
        return bond, None
    return bond, abs(bond.slope) * bohr**2 / hartree / _STIFFNESS[element]


def _most_common_bonds(batches: "Iterable[Data]") -> tuple[int, Slope]:
    """Fit the force constant of bonds of hydrogen to the most common of C, N and O."""
    rows = []
    for batch in batches:
        edges, lengths = bonds_of_hydrogen(batch.Ra.double(), batch.Za, batch.edge_index)
        outwards = (batch.Ra[edges[1]] - batch.Ra[edges[0]]).double() / lengths[:, None]
        forces = (batch.Fa[edges[1]].double() * outwards).sum(dim=1)
        rows.append(torch.stack((batch.Za[edges[0]].double(), lengths, forces), dim=1).numpy())
    # a frame that is there many times says no more than once
    found = np.unique(np.concatenate(rows), axis=0)
    if not len(found):
        return 0, slope_of(found[:, 0], found[:, 0])
    element = int(np.bincount(found[:, 0].astype(int)).argmax())
    of_element = found[found[:, 0] == element]
    return element, stiffness(of_element[:, 1], of_element[:, 2])
