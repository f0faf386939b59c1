"""Whether forces turn molecules as a whole, which those of a molecule in vacuum cannot."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from pyg_nnp.data.source import DataSource
from pyg_nnp.diagnostics.finding import CheckResult, field_finding
from pyg_nnp.diagnostics.sample import frames_with, small_sample
from pyg_nnp.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, Units

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

_LEAST_FORCE = 0.1
"""Root mean square of the forces in a molecule [eV/Å] to be looked at; of a minimum only the errors are left."""
_TURNING, _SHARE = 0.1, 0.1
"""Torque of a molecule that is wrong, relative to that of forces in any direction, and how many of all have it."""


def check_torques(source: DataSource, dataset: "MoleculeDataset", units: Units) -> CheckResult | None:
    """Compare torques with those of forces that have nothing to do with the positions; None: nothing is wrong."""
    frames = frames_with(dataset.summary, ["Fa"])
    frames = frames[torch.from_numpy(dataset.summary.periodic)[frames] == 0]
    if not len(frames):
        return None
    batch = small_sample(dataset, frames).cpu()
    Fa, where = batch.Fa.double(), batch.batch
    unit = (units.hartree or HARTREE_IN_EV) / (units.bohr or BOHR_IN_ANGSTROM)
    least = _LEAST_FORCE / (HARTREE_IN_EV / BOHR_IN_ANGSTROM) * unit
    turning = relative_torques(batch.Ra, Fa, where)  # (G,)
    judged = turning[scatter(Fa.square().sum(dim=1), where, reduce="mean").sqrt() > least]
    share = float((judged > _TURNING).double().mean()) if len(judged) else 0.0
    if share < _SHARE:
        return None
    middle = float(judged.median())
    found = (
        f"turns molecules as a whole, which forces in vacuum cannot: in {100 * share:.0f} % of {len(judged)} frames by "
        f"a torque of more than {_TURNING} times that of forces in any direction, the median of all is {middle:.2g}."
    )
    still = float((Fa == 0).all(dim=1).double().mean())
    found += f" {100 * still:.0f} % of the atoms have no force at all." if still > 0 else ""
    advice = (
        "Are positions and forces of the same frames, in the same order of atoms, and neither of them turned, as into "
        "a standard orientation? Were atoms held fixed, or are there others that are not in the file?"
    )
    finding = field_finding(source, "torques", "Fa", found, advice, None, share=share, torque=middle)
    return CheckResult("Fa", "turns molecules as a whole", [finding])


def relative_torques(Ra: Tensor, Fa: Tensor, batch: Tensor) -> Tensor:
    r"""Return the torque on each molecule, relative to that of forces in any direction.

    .. math:: \frac{|\sum_i r_i \times F_i|}{\sqrt{\tfrac23 \sum_i r_i^2 F_i^2}}, \qquad r_i = R_i - \bar R

    The square of the denominator is the mean of that of the torque over all directions of the forces.

    Args:
        Ra: (A, 3) positions.
        Fa: (A, 3) forces.
        batch: (A,) molecule of each atom.

    Returns:
        (G,) numbers of the order of 1 where forces are not those of the positions; NaN where there is no force.
    """
    r = Ra - scatter(Ra, batch, reduce="mean")[batch]  # (A, 3)
    torque = scatter(torch.linalg.cross(r, Fa), batch).norm(dim=1)  # (A, 3) -> (G,)
    square = scatter(r.square().sum(dim=1) * Fa.square().sum(dim=1), batch)  # (G,)
    relative: Tensor = torque / (2 / 3 * square).sqrt()
    return relative
