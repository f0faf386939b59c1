"""Pairs of near atoms by a list of cells, in plain torch, so that positions stay on their device."""

from itertools import product

import torch
from torch import Tensor

from pyg_nnp.functional.geometry import offsets

_MOST_CELLS = 2**20 - 2  # in a direction; three such numbers fit into an int64
# a cell itself, and one of each two opposite ones around it
_STEPS = [step for step in product((-1, 0, 1), repeat=3) if step >= (0, 0, 0)]


def pairs_by_cells(Ra: Tensor, width: float) -> Tensor | None:
    """Return pairs of atoms in the same cell or in cells that touch, each once, among them all within the width.

    Time and memory are proportional to the number of such pairs, however empty the box is.

    Args:
        Ra: (A, 3) positions, finite, float64 [length].
        width: of the cells [length].

    Returns:
        (2, P) pairs in no particular order; None if there would be too many cells.
    """
    if not len(Ra):
        return torch.empty((2, 0), dtype=torch.int64, device=Ra.device)
    places = (Ra - Ra.amin(dim=0)) / width  # (A, 3)
    if float(places.max()) > _MOST_CELLS:
        return None
    cells = places.long()  # (A, 3)
    # with an empty layer after the last, which is also before the first: a step leads to the cell beside or to none
    sizes = cells.amax(dim=0) + 2  # (3,)
    factors = torch.stack((sizes[1] * sizes[2], sizes[2], torch.ones_like(sizes[2])))  # (3,)
    keys, order = (cells * factors).sum(dim=1).sort()  # (A,)
    steps = (torch.tensor(_STEPS, device=Ra.device) * factors).sum(dim=1)  # (14,)
    wanted = keys[:, None] + steps  # (A, 14)
    first, end = torch.searchsorted(keys, wanted), torch.searchsorted(keys, wanted, right=True)  # (A, 14)
    atoms = torch.arange(len(Ra), device=Ra.device)
    first[:, _STEPS.index((0, 0, 0))] = atoms + 1  # in its own cell, those after it
    counts = (end - first).flatten()  # (14 A,)
    i = atoms.repeat_interleave(counts.view(-1, len(_STEPS)).sum(dim=1))  # (P,)
    shifts = first.flatten() - offsets(counts)[:-1]  # (14 A,)
    j = torch.arange(len(i), device=Ra.device) + shifts.repeat_interleave(counts)  # (P,)
    return order[torch.stack((i, j))]  # (2, P)
