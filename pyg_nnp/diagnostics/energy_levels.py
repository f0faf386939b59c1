"""Whether all energies are of one unit, method and reference: no bonds are worth what lies between two of these."""

import numpy as np

from pyg_nnp.data.source import DataSource
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import Array, CheckResult, field_finding
from pyg_nnp.units import HARTREE_IN_EV, Units

BONDS = 20.0
"""What bonds are worth at most [eV for each atom]: twice what the strongest of solids are."""
_FRAMES = 10_000
"""Frames that are looked at, evenly spaced."""
_SHARE = 0.02
"""Of the frames; fewer are outliers."""


def check_energy_levels(source: DataSource, summary: DatasetSummary, judged: Array, units: Units) -> CheckResult | None:
    """Look for energies, of the (n,) frames that are ``judged``, that no bonds explain; None: there are none.

    Energies of atoms are fitted to all frames, so that with two units or methods hardly any frame goes with them.
    """
    frames = judged[np.isfinite(summary.E[judged])]
    frames = frames[np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).astype(int)]
    counts, E = summary.counts[frames].astype(np.float64), summary.E[frames].astype(np.float64)
    if units.hartree is None or len(frames) <= counts.shape[1]:
        return None
    rest = E - counts @ np.linalg.lstsq(counts, E, rcond=None)[0]
    # atoms that are pushed into each other may be as far above
    per_atom = -rest / counts.sum(axis=1) / units.hartree * HARTREE_IN_EV
    far = np.flatnonzero(per_atom > BONDS)
    if len(far) < _SHARE * len(frames):
        return None
    found = (
        f"is in {len(far)} of {len(frames)} frames up to {per_atom.max():.3g} eV for each atom below what fitted "
        f"energies of atoms make it, of which bonds explain {BONDS:g} at most; it is {E.min():.6g} to {E.max():.6g}."
    )
    advice = (
        "Are there frames in another unit, of another method, with other references, or with a 0 in place of a missing "
        "energy?"
    )
    finding = field_finding(source, "energy levels", "E", found, advice, None, rest=float(per_atom.max()))
    return CheckResult("E", "of several units or methods", [finding])
