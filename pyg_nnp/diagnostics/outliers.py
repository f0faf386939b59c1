"""Energies and forces unlike all others."""

import numpy as np

from pyg_nnp.data.source import DataSource
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import CheckResult, counted, field_finding
from pyg_nnp.diagnostics.statistics import SIGMA_OF_MAD, energy_deviations, outliers

# sets of vibrating or very different molecules stay below 6 and 4.5, and have no gap
_ENERGY_LIMIT = 7.0  # robust standard deviations
_FORCE_LIMIT = 4.0  # robust standard deviations of the logarithm
_NET_FORCE_LIMIT = 0.2  # of the median of the largest forces


def check_outlying_energies(source: DataSource, summary: DatasetSummary) -> CheckResult:
    """Look for energies far from those of the same molecule, or of molecules with the same elements."""
    E = summary.E
    deviations = energy_deviations(E, summary.counts, summary.Q, summary.molecules)
    found = outliers(deviations, _ENERGY_LIMIT)
    if not deviations.any():
        return CheckResult("E", "outliers not judged: too few frames")
    rest = np.delete(deviations, found).max()
    if not len(found):
        return CheckResult("E", f"no outliers: at most {rest:.2g} robust standard deviations off")
    text = (
        f"is {E[found[0]]:.8g} in frame {found[0]}, {deviations[found[0]]:.3g} robust standard deviations from what "
        f"the molecule or its elements make likely; without these frames the largest deviation is {rest:.2g}."
    )
    advice = "Look at these frames, and take out what did not converge."
    numbers = {"deviation": float(deviations[found[0]]), "rest": float(rest)}
    finding = field_finding(source, "outlying energies", "E", text, advice, found, numbers)
    return CheckResult("E", counted(len(found), "outlier"), (finding,))


def check_outlying_forces(source: DataSource, summary: DatasetSummary) -> CheckResult:
    """Look for forces far larger than in all other frames, and for forces that move the molecule as a whole."""
    findings, largest, net = [], summary.largest_force, summary.net_force
    some = largest > 0
    if some.sum() < 20:
        return CheckResult("Fa", "outliers not judged: too few frames")
    middle = float(np.median(largest[some]))
    spread = SIGMA_OF_MAD * float(np.median(abs(np.log(largest[some] / middle))))
    found = outliers(largest, middle * np.exp(_FORCE_LIMIT * max(spread, 0.1)), factor=2.5)
    rest = np.delete(largest, found).max()
    if len(found):
        text = (
            f"has a force of {largest[found[0]]:.4g} in frame {found[0]}; the largest without these frames is "
            f"{rest:.4g}, the median over frames {middle:.4g}."
        )
        advice = "Look at these frames, and take out what is broken."
        numbers = {"largest": float(largest[found[0]]), "rest": float(rest), "median": middle}
        findings.append(field_finding(source, "outlying forces", "Fa", text, advice, found, numbers))
    moving = np.setdiff1d(outliers(net, _NET_FORCE_LIMIT * middle), found)
    if len(moving):
        rest_of_net = np.delete(net, np.concatenate((moving, found))).max()
        text = (
            f"does not add up to 0: the sum has a length of {net[moving].max():.4g}, without these frames at most "
            f"{rest_of_net:.4g}."
        )
        advice = "The force on an atom must be wrong; look at these frames."
        numbers = {"net force": float(net[moving].max()), "rest": float(rest_of_net)}
        findings.append(field_finding(source, "net forces", "Fa", text, advice, moving, numbers))
    if not findings:
        return CheckResult("Fa", f"no outliers: largest force {rest:.4g}")
    return CheckResult("Fa", counted(len(found) + len(moving), "outlier"), tuple(findings))
