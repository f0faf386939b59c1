"""Neighbors with a skin, which are kept while atoms and cell move."""

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_nnp.functional.neighbor_search import find_edges, find_edges_in_cells
from pyg_nnp.functional.periodic_search import full_cell

_SPARE = 0.998  # of the skin; the rest is for rounding


class Neighbors:
    r"""The edges within reach and skin of one system, and whether they hold for it after it has moved.

    With the lattice vectors h as rows, atoms are moved by :math:`F = h^{-1} h'` with the cell, and by at most d
    besides. A pair that was farther apart than reach and skin, :math:`r + s`, is then farther apart than

    .. math:: \sigma_{min}(F)\, (r + s) - 2 d

    where :math:`\sigma_{min}` is the smallest singular value; without a change of the cell it is 1.

    Attributes:
        edges: ``edge_index``, (2, E), and in a cell ``Tij``, (E, 3).
    """

    def __init__(self, data: Data, reach: float, skin: float) -> None:
        self._data, self._reach, self._skin = data.clone(), reach, skin
        self.edges: dict[str, Tensor] = {}
        if "cell" in data:
            found = find_edges_in_cells(data.Ra, data.N, data.cell, data.pbc, reach + skin)
            self.edges["edge_index"], self.edges["Tij"] = found
        else:
            self.edges["edge_index"] = find_edges(data.Ra, data.N, reach + skin)

    def are_those_of(self, data: Data) -> bool:
        """Return whether they hold all pairs within reach of the same system, as it is now."""
        before = self._data
        if len(before.Ra) != len(data.Ra) or ("cell" in before) != ("cell" in data):
            return False
        expected, smallest = before.Ra, 1.0
        if "cell" in data:
            if not torch.equal(before.pbc, data.pbc):
                return False
            if not torch.equal(before.cell, data.cell):
                F = torch.linalg.solve(_full_cell(before), _full_cell(data))  # (3, 3)
                expected, smallest = before.Ra @ F, float(torch.linalg.svdvals(F)[-1])
        farthest = float((data.Ra - expected).norm(dim=1).max())
        return smallest * (self._reach + self._skin) - 2 * farthest > self._reach + (1 - _SPARE) * self._skin


def _full_cell(data: Data) -> Tensor:
    return torch.from_numpy(full_cell(data.cell[0].cpu().numpy(), data.pbc[0].cpu().numpy())).to(data.Ra.device)
