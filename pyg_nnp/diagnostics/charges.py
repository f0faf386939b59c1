"""Whether atomic charges go with total charges, and dipole moments with both: sign, unit, and the origin for ions."""

from math import log
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_masses

from pyg_nnp.data.source import DataSource
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import Array, CheckResult, field_finding
from pyg_nnp.diagnostics.sample import evenly_spaced, frames_with, in_batches
from pyg_nnp.units import BOHR_IN_ANGSTROM, E_ANGSTROM_IN_DEBYE, Units

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

_FRAMES = 2000
"""Frames whose dipole moments are looked at."""
_LABELS = ("Qa", "M2")
"""What these frames have."""
_ENOUGH = 10
"""Frames that are judged at least."""
_ORIGINS = ("lab", "center_of_mass", "center_of_nuclear_charge", "centre of the positions")
"""What dipole moments of ions are about: the names of the layer's option, and one that it does not have."""


def check_charges(source: DataSource, summary: DatasetSummary) -> CheckResult:
    """Compare the sums of atomic charges with total charges; rounding of charges to three digits passes."""
    has_sum = np.isfinite(summary.charge_error)
    if not has_sum.any():
        return CheckResult("Qa", "sum not judged: no frame has all charges")
    error, Q = np.where(has_sum, summary.charge_error, 0.0), summary.Q
    bad = np.flatnonzero(abs(error) > 0.005 + 5e-4 * summary.sizes)
    if not len(bad):
        return CheckResult("Qa", f"add up to Q within {abs(error).max():.1g}")
    worst = bad[abs(error[bad]).argmax()]
    in_all = f" (in these frames always {error[bad].mean():+.3g})" if np.ptp(error[bad]) < 0.01 else ""
    text = (
        f"does not add up to {source.field('Q')} in {len(bad)} of {len(Q)} frames: in frame {source.frame(worst)} to "
        f"{error[worst] + Q[worst]:.4g} where the total charge is {Q[worst]:g}{in_all}."
    )
    advice = "Correct one of them." if "Q" in source.names else "Give Q in Datahub.features."
    finding = field_finding(source, "sum of charges", "Qa", text, advice, bad, error=float(error[worst]))
    return CheckResult("Qa", f"{len(bad)} frames do not add up to Q", [finding])


def check_total_charges(source: DataSource, summary: DatasetSummary) -> CheckResult:
    """Look for total charges that are no whole numbers."""
    Q = summary.Q
    bad = np.flatnonzero(abs(Q - np.round(Q)) > 1e-3)
    if not len(bad):
        return CheckResult("Q", "whole numbers")
    text = f"is {Q[bad[0]]:.6g} in frame {source.frame(bad[0])}, no whole number."
    advice = "Is it the total charge, in units of e?"
    finding = field_finding(source, "total charge", "Q", text, advice, bad, charge=float(Q[bad[0]]))
    return CheckResult("Q", f"{len(bad)} frames not whole", [finding])


def check_dipoles(source: DataSource, dataset: "MoleculeDataset", units: Units, origin_of_model: str) -> CheckResult:
    r"""Compare dipole moments with those of the atomic charges, :math:`\sum_i q_i (R_i - R_0)`.

    Of neutral molecules sign and unit are checked, of ions the origin :math:`R_0`, which the model has by its option
    ``origin_of_model``. Atomic charges of quantum chemistry give the moments to some tenths at best.
    """
    if len(frames_with(dataset.summary, _LABELS)) < _ENOUGH:
        return CheckResult("M2", "not judged: too few frames")
    given, predicted, Q, size = _dipoles(dataset)
    charged, groups = abs(Q) > 0.5, []
    residuals = [_rms((given - about)[charged]) for about in predicted] if charged.sum() >= _ENOUGH else []
    if (~charged).sum() >= _ENOUGH:
        # moments about the centre are the least disturbed by charges that add up to a little more or less than 0
        groups.append((~charged, 3))
    if residuals:
        groups.append((charged, int(np.argmin(residuals))))
    result = CheckResult("M2", "not judged: too few frames")
    for chosen, origin in groups:
        result = _check_sign_and_unit(source, predicted[origin][chosen], given[chosen], size, units)
        if result.findings:
            return result
    if not residuals:
        return result
    of_neutral = _rms((given - predicted[3])[~charged]) if len(groups) == 2 else 0.0
    largest = max(0.3 * size * _rms(Q[charged]), 3 * of_neutral)
    return _check_origin(source, residuals, largest, origin_of_model)


def _dipoles(dataset: "MoleculeDataset") -> tuple[Array, Array, Array, float]:
    """Return dipole moments of some frames.

    Returns:
        (G, 3) those of the data; (4, G, 3) those of the atomic charges about each of the origins; (G,) the sums of the
        atomic charges; and the root mean square distance of an atom from the centre of its molecule.
    """
    given, predicted, charges, spread = [], [], [], []
    for batch in in_batches(dataset, evenly_spaced(dataset, _FRAMES, _LABELS)):
        given.append(batch.M2.double().numpy())
        molecules = (np.split(batch[name].double().numpy(), batch.ptr[1:-1].tolist()) for name in ("Ra", "Qa", "Za"))
        for Ra, Qa, Za in zip(*molecules, strict=True):
            weights = (atomic_masses[Za.astype(int)], Za, np.ones(len(Za)))
            origins = np.array([np.zeros(3), *(w @ Ra / w.sum() for w in weights)])
            predicted.append(Qa @ Ra - Qa.sum() * origins)
            charges.append(Qa.sum())
            spread.append(np.square(Ra - origins[3]).sum(axis=1).mean())
    return np.concatenate(given), np.stack(predicted, axis=1), np.array(charges), float(np.mean(spread)) ** 0.5


def _rms(values: Array) -> float:
    return float(np.square(values).mean() ** 0.5)


def _check_sign_and_unit(source: DataSource, x: Array, y: Array, size: float, units: Units) -> CheckResult:
    """Compare the sign and size of (g, 3) dipole moments y with those of the atomic charges x."""
    if min(_rms(x), _rms(y)) <= 0.02 * size:
        return CheckResult("M2", "goes with Qa: both are nearly 0")
    correlation = float((x * y).sum()) / (np.square(x).sum() * np.square(y).sum()) ** 0.5
    # with errors on both sides the ratio of the sizes, not a line of regression, is right
    ratio = _rms(y) / _rms(x)
    numbers = {"ratio": ratio, "correlation": correlation}
    how = f"{np.copysign(ratio, correlation):.3g} times that of the atomic charges (correlation {abs(correlation):.2g})"
    if abs(correlation) < 0.4:
        text = f"does not follow from the atomic charges {source.field('Qa')}: correlation {correlation:.2g}."
        finding = field_finding(source, "unrelated dipoles", "M2", text, "Do they belong together?", None, **numbers)
        return CheckResult("M2", "does not follow from Qa", [finding])
    findings = []
    if correlation < 0:
        text, advice = f"points the wrong way: it is {how}.", "Change the sign of the dipoles, or of the charges."
        findings.append(field_finding(source, "sign of dipoles", "M2", text, advice, None, **numbers))
    factor, unit = _nearest_unit(units, ratio)
    # charges that are too small by as much are common, too large ones less so
    if abs(correlation) > 0.7 and 0.97 * factor < ratio < 1.5 * factor:
        text = f"looks like {unit}: it is {how}."
        advice = f"The unit is charge times length: divide by {factor:.6g} in the file."
        findings.append(field_finding(source, "unit of dipoles", "M2", text, advice, None, **numbers))
    usual = "; atomic charges give it to some tenths at best"
    return CheckResult("M2", how if findings else f"goes with Qa: it is {how}{usual}", findings)


def _nearest_unit(units: Units, ratio: float) -> tuple[float, str]:
    """Return, of the units of dipoles that do not go with the positions, that which is nearest, and its name."""
    in_bohr = units.names["length"] == "Bohr"  # else in Å
    length, other = ("Bohr", "Å") if in_bohr else ("Å", "Bohr")
    debye = E_ANGSTROM_IN_DEBYE * (BOHR_IN_ANGSTROM if in_bohr else 1.0)
    per_length = BOHR_IN_ANGSTROM if in_bohr else 1 / BOHR_IN_ANGSTROM
    choices = ((debye, "Debye"), (per_length, f"e·{other}"))
    factor, unit = min(choices, key=lambda choice: abs(log(ratio / choice[0])))
    return factor, f"{unit} where positions are in {length}"


def _check_origin(source: DataSource, residuals: list[float], largest: float, origin_of_model: str) -> CheckResult:
    """Find the origin with the least of the ``residuals``, if it is not too large, and compare it with the model's."""
    best, of_model = int(np.argmin(residuals)), residuals[_ORIGINS.index(origin_of_model)]
    if residuals[best] > largest:
        summary = "fits no origin"
        text = (
            f"of the ions fits no origin: what is left after the atomic charges is {residuals[best]:.3g} (root mean "
            "square) about the best of coordinate origin, centre of mass, of nuclear charge and of positions."
        )
        advice = "Were the positions moved after the calculation? Give positions and dipoles in one frame of reference."
    elif of_model < 1.5 * residuals[best]:  # centres that are nearly the same cannot be told apart
        return CheckResult("M2", f"goes with Qa, ions about {origin_of_model}")
    else:
        summary, is_option = f"ions about {_ORIGINS[best]}", best < 3
        text = (
            f"of the ions is about the {_ORIGINS[best]}, and the model's is about {origin_of_model}: root mean square "
            f"differences to the atomic charges' are {residuals[best]:.3g} and {of_model:.3g}."
        )
        set_it = f"Set origin: {_ORIGINS[best]} in AtomicCharge2Dipole."
        advice = set_it if is_option else "Give dipoles about the centre of mass instead."
    numbers = dict(zip(_ORIGINS, residuals, strict=True))
    return CheckResult("M2", summary, [field_finding(source, "origin of dipoles", "M2", text, advice, None, **numbers)])
