"""Energies of total charges, fitted: what it takes to remove electrons from molecules, and what adding some gives."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from pyg_nnp.data.dataset import MoleculeDataset

Array = NDArray[Any]

_INDEPENDENT = 1e-6  # least part of the charges that does not follow from the compositions


def energies_of_charges(dataset: "MoleculeDataset", frames: Tensor) -> Array:
    r"""Fit E to the numbers of atoms of each element and :math:`\varepsilon_\pm Q` by least squares.

    Returns:
        (2,) energies :math:`\varepsilon_\pm` of a positive and of a negative unit of charge, in some ``frames``, (n,).
        0 where there is no such charge, where it follows from the composition, or where there are no energies that
        count in the loss.
    """
    summary = dataset.summary
    if not len(summary.E):
        return np.zeros(2)
    chosen = frames.numpy()[summary.has_energy[frames.numpy()]]
    counts, Q, E = summary.counts[chosen].astype(float), signed(summary.Q[chosen]), summary.E[chosen]
    # what remains of charges and energies where each composition has its mean
    known = counts @ np.linalg.lstsq(counts, np.column_stack((Q, E)), rcond=None)[0]
    Q_rest, E_rest = Q - known[:, :2], E - known[:, 2]
    Q_rest[:, np.abs(Q_rest).max(axis=0, initial=0) < _INDEPENDENT] = 0
    found: Array = np.linalg.lstsq(Q_rest, E_rest, rcond=_INDEPENDENT)[0]
    return found


def signed(Q: Array) -> Array:
    """Return (n, 2) positive and negative total charges, of which one is 0, from (n,) charges."""
    return np.column_stack((Q.clip(min=0), Q.clip(max=0)))
