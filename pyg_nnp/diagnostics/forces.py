"""Whether forces are the negative slope of the energy, with the sign and in the unit that go with it."""

from collections.abc import Sequence
from math import log
from typing import TYPE_CHECKING

from pyg_nnp.data.source import DataSource
from pyg_nnp.diagnostics.finding import CheckResult, Finding, field_finding
from pyg_nnp.diagnostics.force_units import (
    HARTREE_IN,
    NEAR,
    Mismatch,
    Slope,
    energy_unit,
    mismatches,
    stiffness_of_bonds,
)
from pyg_nnp.diagnostics.near_frames import is_clear
from pyg_nnp.diagnostics.near_slopes import SHIFTS, slopes_between_near_frames
from pyg_nnp.diagnostics.sample import evenly_spaced, in_batches
from pyg_nnp.diagnostics.torques import check_torques
from pyg_nnp.units import Units

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

_BONDS = 500
"""Frames whose bonds are looked at."""
_OFF, _ERRORS = 0.1, 5.0
"""How far from 0 the logarithm of the slope of forces is at least, and in standard errors, to be called wrong."""
_UNRELATED = 10.0
"""How many times larger than the work differences of energies are at least that must be those of something else."""
_SMALLER = 4.0
"""How many times less of their work is left unexplained by energies that are taken for the right ones."""


def check_forces(source: DataSource, dataset: "MoleculeDataset", units: Units, negated: bool) -> CheckResult:
    """Compare forces with energies of near frames, and with the usual stretching of bonds of hydrogen.

    Of ``negated`` forces ``negative_gradient`` has changed the sign.
    """
    if turning := check_torques(source, dataset, units):
        return turning  # such forces say nothing of signs and units
    hartree, bohr = units.hartree, units.bohr
    bond, factor = stiffness_of_bonds(in_batches(dataset, evenly_spaced(dataset, _BONDS, ["Fa"])), hartree, bohr)
    findings, near = [], None
    if "E" in dataset.fields:
        near, per_atom, *others = slopes_between_near_frames(dataset)
        # bonds as many times too stiff say that it is the forces, by a factor like the number of atoms
        is_of_forces = factor is not None and abs(log(factor / abs(near.slope))) < NEAR if near.slope else False
        if _is_per_atom(near, per_atom, units) and not is_of_forces:
            return CheckResult("Fa", "goes with energies per atom", [_energies_per_atom(source, near, per_atom)])
        for place, other in zip(SHIFTS, others, strict=True):
            findings += _energies_of_other_frames(source, place, other, near)
        if is_clear(near) and not findings:
            names = () if _fits(near) else mismatches(abs(near.slope), near.uncertainty, hartree, bohr)
            how = f"between near frames -F·ΔR is {near.slope:.3g} ΔE ({near.number} pairs{_correlated(near)})"
            if hartree is not None and factor is not None and not names:
                findings += _unit_of_both(source, factor, hartree)
            if not findings and not names:
                findings += _unexplained(source, near, how)
            return _result(source, near, names, how, negated, findings)
    if bond is None:
        return CheckResult("Fa", "sign and unit not judged: no near frames, no vibrating bonds of hydrogen", findings)
    names = ()
    how = f"the force constant of bonds of hydrogen is {bond.slope:.3g} ({bond.number} bonds{_correlated(bond)})"
    if factor is not None:
        # bonds differ too much in stiffness to doubt the configuration where it can be right
        names = mismatches(factor, 0.0, hartree, bohr, doubt=NEAR)[:1]
        how += f", {factor:.3g} times the usual"
    if near is not None and near.number >= 10:
        how += f"; near frames do not tell whether energies go with them (correlation {near.correlation:.2g})"
        # bonds vibrate, so it is not that forces vanish
        if abs(near.slope) < abs(near.correlation) / _UNRELATED:
            findings.append(_unrelated(source, near))
    return _result(source, bond, names, how, negated, findings)


def _correlated(fit: Slope) -> str:
    return f", correlation {abs(fit.correlation):.2g}"


def _fits(measured: Slope) -> bool:
    """Return whether forces are the slope of energies, or minus that, by far closer than units differ."""
    if not is_clear(measured):
        return False
    size = abs(measured.slope)
    return abs(log(size)) < max(_OFF, _ERRORS * measured.uncertainty / size)


def _is_per_atom(near: Slope, per_atom: Slope, units: Units) -> bool:
    """Return whether forces go with energies times the number of atoms alone, and no unit explains it far better."""
    if not _fits(per_atom) or _fits(near):
        return False
    named = mismatches(abs(near.slope), near.uncertainty, units.hartree, units.bohr)[:1]
    return all(abs(log(abs(near.slope) / unit.factor)) + _OFF > abs(log(abs(per_atom.slope))) for unit in named)


def _energies_per_atom(source: DataSource, near: Slope, per_atom: Slope) -> Finding:
    """Warn of energies that are those of an atom on the average."""
    found = (
        f"looks like the energy per atom: between near frames -F·ΔR is {near.slope:.3g} ΔE, and "
        f"{per_atom.slope:.3g} ΔE with E times the number of atoms ({per_atom.number} pairs{_correlated(per_atom)})."
    )
    numbers = {"slope": near.slope, "slope per atom": per_atom.slope}
    return field_finding(
        source, "energies per atom", "E", found, "Multiply it by the number of atoms.", None, **numbers
    )


def _unit_of_both(source: DataSource, factor: float, hartree: float) -> list[Finding]:
    """Warn of a unit of energies and forces that go together, but not with ``Hartree_in_E``."""
    unit = energy_unit(factor, hartree)
    if unit is None:
        return []
    found = (
        f"looks like {unit}, as the energies do, and not what build_params.Hartree_in_E: {hartree:g} says: with that "
        f"bonds of hydrogen are {factor:.3g} times as stiff as usual."
    )
    advice = f"Set it to {HARTREE_IN[unit]:.6g}."
    return [field_finding(source, "unit of energies and forces", "Fa", found, advice, stiffness=factor)]


def _unexplained(source: DataSource, near: Slope, how: str) -> list[Finding]:
    """Warn of forces that are off by a factor which no unit explains."""
    if _fits(near):
        return []
    found = f"is {abs(near.slope):.3g} ± {near.uncertainty:.1g} times the slope of E, which no unit explains: {how}."
    advice = "Look whether both are of one calculation, and whether a term, as of dispersion, is in one of them alone."
    return [field_finding(source, "factor of forces", "Fa", found, advice, slope=near.slope, error=near.uncertainty)]


def _energies_of_other_frames(source: DataSource, place: str, other: Slope, own: Slope) -> list[Finding]:
    """Warn of forces that go with the energies of other frames."""
    # what is left unexplained of near frames of a smooth trajectory is small for the frame before, too
    if not is_clear(other) or _SMALLER * (1 - other.correlation**2) > 1 - own.correlation**2:
        return []
    found = (
        f"goes with the E of the frame {place} each, not with its own: correlations between near frames are "
        f"{other.correlation:.2g} and {own.correlation:.2g}."
    )
    advice = "Were energies and forces collected from different steps?"
    numbers = {"correlation": own.correlation, f"correlation with the frame {place}": other.correlation}
    return [field_finding(source, "energies of other frames", "Fa", found, advice, None, **numbers)]


def _unrelated(source: DataSource, near: Slope) -> Finding:
    """Warn of energies that differ by far more than the work of the forces."""
    times = abs(near.correlation / near.slope)
    found = (
        f"differs between near frames by {times:.3g} times the work of the forces, and does not follow it "
        f"(correlation {near.correlation:.2g})."
    )
    advice, numbers = "Is it the energy of these frames?", {"times the work": times, "correlation": near.correlation}
    return field_finding(source, "unrelated energies", "E", found, advice, None, **numbers)


def _result(
    source: DataSource, measured: Slope, names: Sequence[Mismatch], how: str, negated: bool, findings: list[Finding]
) -> CheckResult:
    """Add what is wrong with sign and unit of forces to other ``findings``."""
    if measured.slope < 0:
        found, advice = (
            ("forces, which negative_gradient turns into gradients", "Leave Datahub.transforms.negative_gradient out.")
            if negated
            else ("gradients, not forces", "Set Datahub.transforms.negative_gradient: true.")
        )
        text = f"looks like {found}: {how}."
        findings.append(field_finding(source, "sign of forces", "Fa", text, advice, slope=measured.slope))
    if names:
        meaning = "; or ".join(f"{name.meaning} (factor {name.factor:.4g})" for name in names)
        change = "multiply the energies" if names[0].of_energies else "divide the forces"
        text = f"looks like forces {meaning}: {how}."
        advice = f"Give all in units that go together: {change} by {names[0].factor:.6g}."
        slope, factor = measured.slope, names[0].factor
        findings.append(field_finding(source, "unit of forces", "Fa", text, advice, slope=slope, factor=factor))
    return CheckResult("Fa", how if findings else f"fine: {how}", findings)
