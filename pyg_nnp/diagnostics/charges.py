"""Whether atomic charges and total charges go together."""

import numpy as np

from pyg_nnp.data.source import DataSource
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import CheckResult, field_finding


def check_charges(source: DataSource, summary: DatasetSummary) -> CheckResult:
    """Compare the sums of atomic charges with total charges; rounding of charges to three digits passes."""
    error, Q = summary.charge_error, summary.Q
    bad = np.flatnonzero(abs(error) > 0.005 + 5e-4 * summary.sizes)
    if not len(bad):
        return CheckResult("Qa", f"add up to Q within {abs(error).max():.1g}")
    worst = bad[abs(error[bad]).argmax()]
    in_all = f" (in these frames always {error[bad].mean():+.3g})" if np.ptp(error[bad]) < 0.01 else ""
    text = (
        f"does not add up to {source.field('Q')} in {len(bad)} of {len(Q)} frames: in frame {worst} to "
        f"{error[worst] + Q[worst]:.4g} where the total charge is {Q[worst]:g}{in_all}."
    )
    advice = "Correct one of them." if "Q" in source.names else "Give Q in Datahub.features."
    finding = field_finding(source, "sum of charges", "Qa", text, advice, bad, {"error": float(error[worst])})
    return CheckResult("Qa", f"{len(bad)} frames do not add up to Q", (finding,))


def check_total_charges(source: DataSource, summary: DatasetSummary) -> CheckResult:
    """Look for total charges that are no whole numbers."""
    Q = summary.Q
    bad = np.flatnonzero(abs(Q - np.round(Q)) > 1e-3)
    if not len(bad):
        return CheckResult("Q", "whole numbers")
    text = f"is {Q[bad[0]]:.6g} in frame {bad[0]}, no whole number."
    advice = "Is it the total charge, in units of e?"
    finding = field_finding(source, "total charge", "Q", text, advice, bad, {"charge": float(Q[bad[0]])})
    return CheckResult("Q", f"{len(bad)} frames not whole", (finding,))
