"""Whether dipole moments go with atomic charges: sign, unit, and the origin for ions."""

from dataclasses import dataclass
from math import log

import numpy as np
from ase.data import atomic_masses

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.descriptors import sums
from pyg_nnp.data.source import DataSource
from pyg_nnp.diagnostics.finding import CheckResult, field_finding
from pyg_nnp.diagnostics.sample import evenly_spaced, in_batches
from pyg_nnp.diagnostics.statistics import Array
from pyg_nnp.units import BOHR_IN_ANGSTROM, E_ANGSTROM_IN_DEBYE, Units

_FRAMES = 2000
"""Frames whose dipole moments are looked at."""

ORIGINS = ("lab", "center_of_mass", "center_of_nuclear_charge", "centre of the positions")
"""What dipole moments of ions are about: the names of the layer's option, and one that it does not have."""


@dataclass(frozen=True)
class Dipoles:
    """Dipole moments of some frames beside those of their atomic charges.

    Attributes:
        given: (G, 3) of the data.
        charges: (G, 3) of the atomic charges, about the origin of the coordinates.
        Q: (G,) sums of the atomic charges.
        centres: (4, G, 3) the places that :data:`ORIGINS` names.
        size: root mean square distance of an atom from the centre of its molecule.
    """

    given: Array
    charges: Array
    Q: Array
    centres: Array
    size: float

    def about(self, origin: int, chosen: Array) -> Array:
        """Return (g, 3) the dipole moments of the atomic charges of ``chosen`` frames about an origin."""
        moved: Array = self.charges[chosen] - self.Q[chosen, None] * self.centres[origin][chosen]
        return moved


def check_dipoles(source: DataSource, dataset: MoleculeDataset, units: Units, origin_of_model: str) -> CheckResult:
    r"""Compare dipole moments with those of the atomic charges, :math:`\sum_i q_i (R_i - R_0)`.

    Of neutral molecules sign and unit are checked, of ions the origin :math:`R_0`. Atomic charges of quantum chemistry
    give the moments to some tenths at best, which the limits allow for.

    Args:
        source: the data file.
        dataset: with ``Qa`` and ``M2``.
        units: of the data.
        origin_of_model: about which the model takes dipole moments, one of :data:`ORIGINS`.
    """
    dipoles = _some_dipoles(dataset)
    charged = abs(dipoles.Q) > 0.5
    # moments about the centre are the least disturbed by charges that add up to a little more or less than 0
    groups = [(~charged, 3)] if (~charged).sum() >= 10 else []
    if charged.sum() >= 10:
        groups.append((charged, _best_origin(dipoles, charged)))
    result = CheckResult("M2", "not judged: too few frames")
    for chosen, origin in groups:
        result = _sign_and_unit(source, dipoles, chosen, origin, units)
        if result.findings:
            return result
    return _check_origin(source, dipoles, charged, origin_of_model) if charged.sum() >= 10 else result


def _some_dipoles(dataset: MoleculeDataset) -> Dipoles:
    rows: list[tuple[Array, ...]] = []
    for batch in in_batches(dataset, evenly_spaced(dataset, _FRAMES)):
        count, frames = batch.num_graphs, batch.batch.numpy()
        Ra, Qa, Za = batch.Ra.double().numpy(), batch.Qa.double().numpy(), batch.Za.numpy()
        kinds = (atomic_masses[Za], Za.astype(np.float64), np.ones(len(Za)))
        centres = [sums(w[:, None] * Ra, frames, count) / sums(w, frames, count)[:, None] for w in kinds]
        spread = sums(np.square(Ra - centres[2][frames]).sum(axis=1), frames, count) / batch.N.numpy()
        centres = [np.zeros((count, 3)), *centres]
        rows.append(
            (
                batch.M2.double().numpy(),
                sums(Qa[:, None] * Ra, frames, count),
                sums(Qa, frames, count),
                spread,
                *centres,
            )
        )
    given, charges, Q, spread, *centres = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return Dipoles(given, charges, Q, np.stack(centres), float(spread.mean() ** 0.5))


def _rms(values: Array) -> float:
    return float(np.square(values).mean() ** 0.5)


def _residual(dipoles: Dipoles, origin: int, chosen: Array) -> float:
    return _rms(dipoles.given[chosen] - dipoles.about(origin, chosen))


def _best_origin(dipoles: Dipoles, charged: Array) -> int:
    return min(range(len(ORIGINS)), key=lambda origin: _residual(dipoles, origin, charged))


def _sign_and_unit(source: DataSource, dipoles: Dipoles, chosen: Array, origin: int, units: Units) -> CheckResult:
    """Compare dipole moments with those of the atomic charges by sign and size."""
    x, y = dipoles.about(origin, chosen), dipoles.given[chosen]
    if min(_rms(x), _rms(y)) <= 0.02 * dipoles.size:
        return CheckResult("M2", "goes with Qa: both are nearly 0")
    correlation = float((x * y).sum()) / (np.square(x).sum() * np.square(y).sum()) ** 0.5
    # with errors on both sides the ratio of the sizes, not a line of regression, is right
    ratio = _rms(y) / _rms(x)
    numbers = {"ratio": ratio, "correlation": correlation}
    how = f"{np.copysign(ratio, correlation):.3g} times that of the atomic charges (correlation {abs(correlation):.2g})"
    if abs(correlation) < 0.4:
        text = f"does not follow from the atomic charges {source.field('Qa')}: correlation {correlation:.2g}."
        finding = field_finding(source, "unrelated dipoles", "M2", text, "Do they belong together?", numbers=numbers)
        return CheckResult("M2", "does not follow from Qa", (finding,))
    findings = []
    if correlation < 0:
        text, advice = f"points the wrong way: it is {how}.", "Change the sign of the dipoles, or of the charges."
        findings.append(field_finding(source, "sign of dipoles", "M2", text, advice, numbers=numbers))
    named = _unit_of(units, ratio)
    if named and abs(correlation) > 0.7:
        factor, unit = named
        text = f"looks like {unit}: it is {how}."
        advice = f"The unit is charge times length: divide by {factor:.6g} in the file."
        findings.append(field_finding(source, "unit of dipoles", "M2", text, advice, numbers=numbers))
    usual = "; atomic charges give it to some tenths at best"
    return CheckResult("M2", how if findings else f"goes with Qa: it is {how}{usual}", tuple(findings))


def _unit_of(units: Units, ratio: float) -> tuple[float, str] | None:
    """Name the unit of dipoles that are so many times too large, if it is another than that of the positions."""
    in_bohr = units.names["length"] == "Bohr"  # else in Å
    length, other = ("Bohr", "Å") if in_bohr else ("Å", "Bohr")
    debye = E_ANGSTROM_IN_DEBYE * (BOHR_IN_ANGSTROM if in_bohr else 1.0)
    per_length = BOHR_IN_ANGSTROM if in_bohr else 1 / BOHR_IN_ANGSTROM
    choices = {
        debye: f"Debye where positions are in {length}",
        per_length: f"e·{other} where positions are in {length}",
    }
    factor = min(choices, key=lambda choice: abs(log(ratio / choice)))
    # charges that are too small by as much are common, too large ones less so
    near = (0.97 * factor, 1.5 * factor)
    return (factor, choices[factor]) if near[0] < ratio < near[1] else None


def _check_origin(source: DataSource, dipoles: Dipoles, charged: Array, origin_of_model: str) -> CheckResult:
    """Find the origin of the dipole moments of ions, and whether the model takes them about the same."""
    residuals = [_residual(dipoles, origin, charged) for origin in range(len(ORIGINS))]
    best = int(np.argmin(residuals))
    numbers = dict(zip(ORIGINS, residuals, strict=True))
    neutral = _residual(dipoles, 3, ~charged) if (~charged).sum() >= 10 else 0.0
    if residuals[best] > max(0.3 * dipoles.size * _rms(dipoles.Q[charged]), 3 * neutral):
        text = (
            f"of the ions fits no origin: what is left after the atomic charges is {residuals[best]:.3g} (root mean "
            "square) about the best of coordinate origin, centre of mass, of nuclear charge and of positions."
        )
        advice = "Were the positions moved after the calculation? Give positions and dipoles in one frame of reference."
        finding = field_finding(source, "origin of dipoles", "M2", text, advice, numbers=numbers)
        return CheckResult("M2", "fits no origin", (finding,))
    of_model = residuals[ORIGINS.index(origin_of_model)]
    # centres that are nearly the same cannot be told apart
    if of_model < 1.5 * residuals[best]:
        return CheckResult("M2", f"goes with Qa, ions about {origin_of_model}")
    option = ORIGINS[best] if best < 3 else None
    advice = (
        f"Set origin: {option} in AtomicCharge2Dipole." if option else "Give dipoles about the centre of mass instead."
    )
    text = (
        f"of the ions is about the {ORIGINS[best]}, and the model's is about {origin_of_model}: root mean square "
        f"differences to the atomic charges' are {residuals[best]:.3g} and {of_model:.3g}."
    )
    finding = field_finding(source, "origin of dipoles", "M2", text, advice, numbers=numbers)
    return CheckResult("M2", f"ions about {ORIGINS[best]}", (finding,))
