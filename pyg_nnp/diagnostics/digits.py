"""Energies that lost their digits in single precision before they came into the file."""

import numpy as np

from pyg_nnp.data.source import DataSource
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import Array, CheckResult, field_finding

# potentials come down to errors of some hundredths of the spread
_LARGEST_STEP = 0.01
_FEW = 20
_AT_ONCE = 10_000
# energies that those of atoms explain altogether; of large ones it may be that no digits are left
_ROUNDING, _LARGE = 1e-10, 1e5


def check_digits(source: DataSource, summary: DatasetSummary) -> CheckResult | None:
    """Compare the steps of single precision with the spread of energies that have no more digits than it.

    The spread is that of what energies of atoms do not explain. None: nothing is wrong.
    """
    known = np.isfinite(summary.E)
    E = summary.E[known].astype(np.float64)
    if len(E) < _FEW or not _is_single(E):
        return None
    counts = summary.counts[known].astype(np.float64)
    rest = abs(E - counts @ np.linalg.lstsq(counts, E, rcond=None)[0])
    # two thirds of a normal distribution are within one standard deviation
    largest, spread = float(abs(E).max()), float(np.quantile(rest, 0.68))
    step = float(np.spacing(np.float32(largest)))
    is_constant = spread <= _ROUNDING * largest
    if step <= _LARGEST_STEP * spread or (is_constant and largest < _LARGE):
        return None
    text = (
        f"is in single precision, which has steps of {step:.3g} for numbers around {largest:.3g}; "
        f"without energies of atoms they differ by {spread:.3g}."
    )
    advice = (
        "The digits that matter are lost. Store energies in double precision (float64), "
        "or subtract energies of atoms before they are rounded."
    )
    finding = field_finding(source, "rounded energies", "E", text, advice, step=step, spread=spread)
    return CheckResult("E", f"rounded to {step:.3g}", [finding])


def _is_single(E: Array) -> bool:
    """Return whether numbers are those of single precision, or the shortest decimals that name these."""
    # most data sets are not, as their first numbers show; and text takes 128 bytes a number
    return all(_are_single(E[first : first + _AT_ONCE]) for first in range(0, len(E), _AT_ONCE))


def _are_single(E: Array) -> bool:
    with np.errstate(over="ignore"):  # beyond single precision they are infinite
        single = E.astype(np.float32)
    return bool(np.all((single == E) | (single.astype(str).astype(np.float64) == E)))
