"""Energies and forces unlike all others."""

import numpy as np

from pyg_nnp.data.source import DataSource
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import Array, CheckResult, counted, field_finding
from pyg_nnp.units import HARTREE_IN_EV, Units

BONDS = 20.0
"""What bonds are worth at most [eV for each atom]: twice what the strongest of solids are."""
_LEVEL_FRAMES = 10_000
"""Frames whose levels of energy are looked at, evenly spaced."""
_LEVEL_SHARE = 0.02
"""Of these frames; fewer are outliers."""
# sets of vibrating or very different molecules stay below 6 and 4.5, and have no gap
_ENERGY_LIMIT = 7.0  # robust standard deviations
_FORCE_LIMIT = 4.0  # robust standard deviations of the logarithm
_NET_FORCE_LIMIT = 0.2  # of the median of the largest forces
_ROUNDING = 1e-9  # in any unit of forces; by symmetry they are 0 in some crystals
_FEW = 20
# standard deviation of a normal distribution in units of its median absolute deviation
_SIGMA_OF_MAD = 1.4826


def check_outlying_energies(source: DataSource, summary: DatasetSummary, judged: Array) -> CheckResult:
    """Look for energies far from those of the same molecule, or of molecules with the same elements.

    Only the (n,) frames that are ``judged`` are looked at.
    """
    has, E = np.isfinite(summary.E), summary.E
    has[np.setdiff1d(np.arange(len(E)), judged)] = False
    deviations = np.zeros(len(E))
    deviations[has] = energy_deviations(E[has], summary.counts[has], summary.Q[has], summary.molecules[has])
    found = outliers(deviations, _ENERGY_LIMIT)
    if not deviations.any():
        return CheckResult("E", "outliers not judged: too few frames")
    rest = np.delete(deviations, found).max()
    if not len(found):
        return CheckResult("E", f"no outliers: at most {rest:.2g} robust standard deviations off")
    text = (
        f"is {E[found[0]]:.8g} in frame {source.frame(found[0])}, {deviations[found[0]]:.3g} robust standard "
        f"deviations from what the molecule or its elements make likely; without these frames the largest deviation is "
        f"{rest:.2g}."
    )
    advice = "Look at these frames, and take out what did not converge."
    numbers = {"deviation": float(deviations[found[0]]), "rest": float(rest)}
    finding = field_finding(source, "outlying energies", "E", text, advice, found, **numbers)
    return CheckResult("E", counted(len(found), "outlier"), [finding])


def check_energy_levels(source: DataSource, summary: DatasetSummary, judged: Array, units: Units) -> CheckResult | None:
    """Look for energies, of the (n,) frames that are ``judged``, that no bonds explain; None: there are none.

    Energies of atoms are fitted to all frames, so that with two units or methods hardly any frame goes with them.
    """
    frames = judged[np.isfinite(summary.E[judged])]
    frames = frames[np.linspace(0, len(frames) - 1, min(_LEVEL_FRAMES, len(frames))).astype(int)]
    counts, E = summary.counts[frames].astype(np.float64), summary.E[frames].astype(np.float64)
    if units.hartree is None or len(frames) <= counts.shape[1]:
        return None
    rest = E - counts @ np.linalg.lstsq(counts, E, rcond=None)[0]
    # atoms that are pushed into each other may be as far above
    per_atom = -rest / counts.sum(axis=1) / units.hartree * HARTREE_IN_EV
    far = np.flatnonzero(per_atom > BONDS)
    if len(far) < _LEVEL_SHARE * len(frames):
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


def check_outlying_forces(source: DataSource, summary: DatasetSummary) -> CheckResult:
    """Look for forces far larger than in all other frames, and for forces that move the molecule as a whole."""
    # a force that is missing is none to look at
    forces = summary.largest_force, summary.net_force
    largest, net = (np.where(values > _ROUNDING, values, 0.0) for values in forces)  # not so is NaN
    findings = []
    some = largest > 0
    if some.sum() < _FEW:
        return CheckResult("Fa", "outliers not judged: too few frames")
    middle = float(np.median(largest[some]))
    spread = _SIGMA_OF_MAD * float(np.median(abs(np.log(largest[some] / middle))))
    found = outliers(largest, middle * np.exp(_FORCE_LIMIT * max(spread, 0.1)), factor=2.5)
    rest = np.delete(largest, found).max()
    if len(found):
        text = (
            f"has a force of {largest[found[0]]:.4g} in frame {source.frame(found[0])}; the largest without these "
            f"frames is {rest:.4g}, the median over frames {middle:.4g}."
        )
        advice = "Look at these frames, and take out what is broken."
        numbers = {"largest": float(largest[found[0]]), "rest": float(rest), "median": middle}
        findings.append(field_finding(source, "outlying forces", "Fa", text, advice, found, **numbers))
    moving = np.setdiff1d(outliers(net, _NET_FORCE_LIMIT * middle), found)
    if len(moving):
        rest_of_net = np.delete(net, np.concatenate((moving, found))).max()
        text = (
            f"does not add up to 0: the sum has a length of {net[moving].max():.4g}, without these frames at most "
            f"{rest_of_net:.4g}."
        )
        advice = "The force on an atom must be wrong; look at these frames."
        numbers = {"net force": float(net[moving].max()), "rest": float(rest_of_net)}
        findings.append(field_finding(source, "net forces", "Fa", text, advice, moving, **numbers))
    if not findings:
        return CheckResult("Fa", f"no outliers: largest force {rest:.4g}")
    return CheckResult("Fa", counted(len(found) + len(moving), "outlier"), findings)


def outliers(values: Array, limit: float, factor: float = 2.0) -> Array:
    """Return the indices of numbers from 0, (n,), that lie far above all others, the largest first.

    They are outliers if each is above ``limit`` and more than ``factor`` times as large as the largest of the rest,
    and if they are at most one in fifty. A heavy tail has no such gap.
    """
    order = np.argsort(values)[::-1]
    ranked = values[order]
    most = min(max(1, len(values) // 50), len(values) - 1)
    gaps = np.flatnonzero((ranked[:most] > limit) & (ranked[:most] > factor * ranked[1 : most + 1]))
    largest: Array = order[: gaps[-1] + 1] if len(gaps) else order[:0]
    return largest


def energy_deviations(E: Array, counts: Array, Q: Array, molecules: Array) -> Array:
    r"""Say how far each energy is from what is to be expected, in robust standard deviations.

    Where a molecule has at least five frames, and there are 20 such frames, their median is expected; the standard
    deviation is that of all such frames about their medians, or that of the molecule's own if it is larger. Else
    :math:`E = \sum_Z n_Z e_Z + a Q + b Q^2` is expected, fitted to these other frames by iterated least squares with
    Tukey's biweight, if there are five for each term.

    Args:
        E: (n,) energies.
        counts: (n, K) atoms of each element.
        Q: (n,) total charges.
        molecules: (n,) key of the molecule, the charge included.

    Returns:
        (n,) from 0; 0 where nothing can be expected.
    """
    _, group, sizes = np.unique(molecules, return_inverse=True, return_counts=True)
    common = sizes[group] >= 5
    # a standard deviation from fewer frames says little
    common &= common.sum() >= _FEW
    rare = ~common
    deviations = np.zeros(len(E))
    residuals = E - _medians(E, group, sizes)[group]
    own = _SIGMA_OF_MAD * _medians(abs(residuals), group, sizes)[group]
    deviations[common] = _over(residuals[common], np.maximum(own[common], _sigma(residuals[common])))
    terms = np.column_stack((counts[rare], Q[rare], Q[rare] ** 2)).astype(np.float64)
    if rare.sum() >= max(_FEW, 5 * terms.shape[1]):
        residuals = _robust_residuals(terms, E[rare])
        deviations[rare] = _over(residuals, _sigma(residuals))
    return deviations


def _medians(values: Array, group: Array, sizes: Array) -> Array:
    """Return the median of the (n,) values of each of the groups that they are in, of (K,) sizes."""
    ranked = values[np.lexsort((values, group))]
    last = np.cumsum(sizes) - 1
    medians: Array = (ranked[last - sizes // 2] + ranked[last - (sizes - 1) // 2]) / 2
    return medians


def _sigma(residuals: Array) -> float:
    """Return a robust standard deviation about 0.

    It is that of a normal distribution with the same median, or nine tenths, of absolute values, whichever is larger:
    the former alone is small where half of the molecules are much alike.
    """
    if not len(residuals):
        return 0.0
    median, most = np.quantile(abs(residuals), (0.5, 0.9))
    return max(_SIGMA_OF_MAD * float(median), float(most) / 1.645)


def _over(residuals: Array, sigma: Array | float) -> Array:
    """Return the sizes of residuals in units of ``sigma``; 0 where that is 0."""
    sizes: Array = np.divide(abs(residuals), sigma, out=np.zeros(len(residuals)), where=np.asarray(sigma) > 0)
    return sizes


def _robust_residuals(terms: Array, E: Array) -> Array:
    weights = np.ones(len(E))
    residuals = np.zeros(len(E))
    for _ in range(20):
        root = weights**0.5
        residuals = E - terms @ np.linalg.lstsq(terms * root[:, None], E * root, rcond=None)[0]
        # 4.685: the usual constant, 95 % efficient for normal errors; the tiny weight keeps the rank
        scaled = _over(residuals, _sigma(residuals)) / 4.685
        weights = np.clip(1 - scaled**2, 0, None) ** 2 + 1e-9
    return residuals
