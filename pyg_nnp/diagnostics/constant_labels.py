"""Labels that stand for none: energies that are all the same, and molecules without any force."""

import numpy as np

from pyg_nnp.data.source import DataSource
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import Array, CheckResult, field_finding

_FEW = 20


def check_constant_energies(source: DataSource, summary: DatasetSummary, judged: Array) -> CheckResult | None:
    """Look whether the energies of the (n,) frames that are ``judged`` are all the same; None: they are not."""
    frames = judged[np.isfinite(summary.E[judged])]
    E = summary.E[frames]
    # copies of a frame have its energy
    if len(E) < _FEW or np.ptp(E) > 0 or np.ptp(summary.shape[frames], axis=0).max() <= summary.precision:
        return None
    found = f"is {E[0]:.6g} in all of {len(E)} frames."
    finding = field_finding(source, "constant energies", "E", found, "Nothing can be learned of it. Is it a label?")
    return CheckResult("E", "always the same", [finding])


def check_zero_forces(source: DataSource, summary: DatasetSummary) -> CheckResult | None:
    """Look for molecules of which no atom has any force, as of crystals by symmetry; None: there are none.

    What is calculated is never 0 to the last digit, not even in a minimum.
    """
    is_molecule = (summary.sizes > 1) & (summary.periodic == 0)
    frames = np.flatnonzero(is_molecule & (summary.largest_force == 0))
    if not len(frames):
        return None
    found = f"is 0 for all atoms in {len(frames)} of {len(summary.sizes)} frames."
    advice = "If these are missing forces, leave them out or make them NaN, and write Fa in Datahub.allow_missing."
    finding = field_finding(source, "zero forces", "Fa", found, advice, frames)
    return CheckResult("Fa", f"all 0 in {len(frames)} frames", [finding])
