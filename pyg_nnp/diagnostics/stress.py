"""Whether stress is the slope of the energy by the strain, with its sign and unit, and cells are what they seem."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import log
from typing import TYPE_CHECKING

import numpy as np

from pyg_nnp.data.formats.stress import is_virial
from pyg_nnp.data.source import DataSource
from pyg_nnp.diagnostics.finding import Array, CheckResult, Finding, field_finding
from pyg_nnp.diagnostics.force_units import Slope, slope_of
from pyg_nnp.diagnostics.near_frames import is_clear
from pyg_nnp.diagnostics.pair_fit import Crystal, PairFit, fit_pairs
from pyg_nnp.diagnostics.sample import frames_with, in_batches
from pyg_nnp.units import BOHR_IN_ANGSTROM, ENERGIES, LENGTHS, Units

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

_FRAMES, _ATOMS = 100, 3000
"""Frames, and atoms of them all, that are looked at."""
_CUTOFF = 11.0
"""Of the fitted pair potential [Bohr]."""
_FITS = 0.2
"""How much a fit with cells that are the right ones leaves unexplained at most."""
_ROUNDING = 1e-6
"""Smallest component of the stress, of the largest, that is not rounding."""
_NEAR = 0.35
"""Largest logarithm of the ratio of a measured to a named factor."""
_CORRELATED, _DOUBT = 0.8, 0.1
"""Smallest correlation of what is judged, and how much nearer two mistakes have to be than one, in the logarithm."""
_USUAL = ("in GPa", "in kbar", "in eV/Å³")
_PRESSURES = {"GPa": 29421.015697, "kbar": 294210.15697, "bar": 294210156.97}
"""One Hartree / Bohr^3 in units of pressure."""
_OTHER_CELLS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "the lattice vectors are its columns, not its rows": ("Transpose it.", np.transpose),
    "it is in Bohr where positions are in Å": ("Multiply it by 0.529177.", lambda h: h * BOHR_IN_ANGSTROM),
    "it is in Å where positions are in Bohr": ("Divide it by 0.529177.", lambda h: h / BOHR_IN_ANGSTROM),
}
_BETTER, _BETTER_ALIKE, _ALIKE = 0.1, 0.3, 0.05
"""How little a fit with changed cells leaves unexplained at most, of what is left with the cells as they are; the same
where both differ by no more than a small part, since a transposed cell is a turn of the lattice alone; that part."""
_SAME = 1e-4
"""Cells that differ by less are the same: no positions are so exact."""
_CHANGES = 1e-3
"""Least standard deviation of the volume of an atom, by which a fit knows the pressure, relative to its mean."""


def check_stress(source: DataSource, dataset: "MoleculeDataset", units: Units) -> list[CheckResult]:
    """Compare cells and stress with energies: of near frames with different cells, and of a fitted pair potential."""
    crystals = _some(dataset)
    if len(crystals) < 3:
        return []
    cutoff = _CUTOFF * (units.bohr or BOHR_IN_ANGSTROM)
    fit = fit_pairs(crystals, cutoff)
    findings = [] if fit is None else _wrong_cells(source, crystals, fit, cutoff)
    cells = CheckResult("cell", "looks wrong" if findings else "fine" if fit else "not judged", findings)
    if "S" not in dataset.fields or findings:
        return [cells]
    return [cells, _of_stress(source, crystals, fit, units)]


def _some(dataset: "MoleculeDataset") -> list[Crystal]:
    """Return some frames that are periodic in all directions and have energy and, where others do, stress."""
    names = [name for name in ("E", "S") if name in dataset.fields]
    summary = dataset.summary
    if "cell" not in dataset.fields or "E" not in names:
        return []
    frames = frames_with(summary, names)
    number = min(_FRAMES, len(frames), max(3, int(_ATOMS / summary.sizes.mean())))
    if not len(frames):
        return []
    # runs of ten, since consecutive frames may be near each other
    starts = np.linspace(0, max(0, len(frames) - 10), max(1, number // 10)).astype(int)
    chosen = np.unique((starts[:, None] + np.arange(10)).ravel())
    found = []
    for batch in in_batches(dataset, frames[chosen[chosen < len(frames)]]):
        for data in batch.to_data_list():
            if bool(data["pbc"].all()):
                Fa = data["Fa"].double().numpy() if "Fa" in data else np.full(data["Ra"].shape, np.nan)
                S = data["S"][0].double().numpy() if "S" in data else np.full(6, np.nan)
                where = data["Ra"].double().numpy(), data["Za"].numpy(), data["cell"][0].numpy()
                found.append(Crystal(*where, data["pbc"][0].numpy().astype(bool), float(data["E"]), Fa, S))
    return found


def _wrong_cells(source: DataSource, crystals: Sequence[Crystal], fit: PairFit, cutoff: float) -> list[Finding]:
    """Warn of cells with which energies and forces go by far better if they are read in another way."""
    cells = np.stack([crystal.cell for crystal in crystals])
    best, least = None, _FITS
    for what, (advice, change) in _OTHER_CELLS.items():
        changed = [change(cell) for cell in cells]
        apart = abs(np.stack(changed) - cells).max() / abs(cells).max()
        if apart < _SAME:
            continue
        better = (_BETTER_ALIKE if apart < _ALIKE else _BETTER) * fit.unexplained
        others = [replace(crystal, cell=cell) for crystal, cell in zip(crystals, changed, strict=True)]
        other = fit_pairs(others, cutoff)
        if other is not None and other.unexplained < min(least, better):
            best, least = (what, advice), other.unexplained
    if best is None:
        return []
    found = (
        f"looks as if {best[0]}: a pair potential fitted with such cells leaves {least:.2g} of the variance of "
        f"energies and forces unexplained, and {fit.unexplained:.2g} with the cells as they are."
    )
    return [field_finding(source, "cell", "cell", found, best[1], None, ratio=least / fit.unexplained)]


def _of_stress(source: DataSource, crystals: Sequence[Crystal], fit: PairFit | None, units: Units) -> CheckResult:
    volumes = np.array([abs(np.linalg.det(crystal.cell)) for crystal in crystals])[:, None]
    S = np.stack([crystal.S for crystal in crystals])
    # as its name in the file says, and otherwise
    readings = (S, -S * volumes if is_virial(source.names["S"]) else -S / volumes)
    near = "between near frames V σ:Δε is {0:.3g} (ΔE + F·ΔR) ({1} pairs, correlation {2:.2g})"
    found = {near: [_near_frames(crystals, values) for values in readings]}
    of_atoms = volumes[:, 0] / [len(crystal.Za) for crystal in crystals]
    # in cells of one size energies and forces say how stiff bonds are, and not under which pressure
    if fit is not None and of_atoms.std() > _CHANGES * of_atoms.mean():
        right = (fit.by_strain / volumes).ravel()
        fitted = "it is {0:.3g} times that of a fitted pair potential ({1} numbers, correlation {2:.2g})"
        some = abs(right) > _ROUNDING * abs(right).max()  # by symmetry half of them may be 0
        found[fitted] = [slope_of(right[some], values.ravel()[some]) for values in readings]
    # frames may be too far apart for the first, and pairs not all that there is for the second
    how = max(found, key=lambda how: max(abs(slope.correlation) for slope in found[how]))
    slopes = found[how]
    if not any(map(is_clear, slopes)):
        return CheckResult("S", "not judged: no near frames with different cells, and no fit of pairs")
    text = how.format(slopes[0].slope, slopes[0].number, slopes[0].correlation)
    finding = _named(source, slopes, units, text)
    return CheckResult("S", text if finding else f"fine: {text}", [finding] if finding else [])


def _near_frames(crystals: Sequence[Crystal], S: Array) -> Slope:
    r"""Fit the work of the stress between near frames to what the energy has beyond the work of the forces.

    .. math:: \Delta E + \bar F \cdot \Delta s \bar h = \overline{V \sigma} : \Delta\varepsilon
        + O(3), \quad \Delta\varepsilon = \mathrm{sym}(\bar h^{-1} \Delta h)

    with the bars for means of both frames, and places s in units of the lattice vectors.
    """
    x, y = [], []
    for one, other in _consecutive(crystals, S):
        (a, Sa), (b, Sb) = one, other
        middle = (a.cell + b.cell) / 2
        step = np.linalg.solve(b.cell.T, b.Ra.T).T - np.linalg.solve(a.cell.T, a.Ra.T).T  # (N, 3)
        way = (step - np.round(step)) @ middle
        e = np.linalg.solve(middle, b.cell - a.cell)
        e = (e + e.T) / 2
        strain = np.array([e[0, 0], e[1, 1], e[2, 2], 2 * e[1, 2], 2 * e[0, 2], 2 * e[0, 1]])
        if abs(e).max() > 1e-6:
            # of a site by symmetry there is no force, whatever the file lacks
            pull = np.nansum((a.Fa + b.Fa) / 2 * (way - way.mean(axis=0)))
            x.append(b.E - a.E + pull)
            volumes = [abs(np.linalg.det(crystal.cell)) for crystal in (a, b)]
            y.append((volumes[0] * Sa + volumes[1] * Sb) / 2 @ strain)
    return slope_of(np.array(x), np.array(y))


def _consecutive(crystals: Sequence[Crystal], S: Array) -> Iterator[tuple[tuple[Crystal, Array], ...]]:
    for number in range(len(crystals) - 1):
        a, b = crystals[number : number + 2]
        if len(a.Za) == len(b.Za) and (a.Za == b.Za).all():
            yield (a, S[number]), (b, S[number + 1])


def _named(source: DataSource, slopes: Sequence[Slope], units: Units, how: str) -> Finding | None:
    """Warn of a sign, a unit, or a name that explains how many times the right stress the numbers are."""
    is_named_virial = is_virial(source.names["S"])
    other = "stress, not virials" if is_named_virial else "virials, not stress"
    off: dict[tuple[str, ...], float] = {}
    for slope, what in zip(slopes, ("", other), strict=True):
        if abs(slope.correlation) < _CORRELATED:
            continue
        for unit, factor in _units_of_stress(units).items():
            meaning = what, unit, "of the opposite sign" if slope.slope < 0 else ""
            # one mistake is more likely than two, and a usual unit than another
            rare = len(list(filter(None, meaning))) + (bool(unit) and unit not in _USUAL)
            off[meaning] = abs(log(abs(slope.slope) / factor)) + _DOUBT * rare
    nearest = min(off, key=off.__getitem__)
    if not any(nearest) or off[nearest] > _NEAR + 2 * _DOUBT:
        return None
    near = sorted((meaning for meaning in off if off[meaning] <= off[nearest] + _DOUBT / 2), key=off.__getitem__)
    names = "; or ".join(f"{what or 'stress'} {unit} {sign}".strip().replace("  ", " ") for what, unit, sign in near)
    text = f"looks like {names}: {how}."
    advice = "Give stress in the unit of energy over that of length cubed, (1/V) dE/dstrain, positive for a pull"
    advice += ", without 'virial' in its name." if nearest[0] and is_named_virial else "."
    advice += " An array with 'virial' in its name is divided by -V." if nearest[0] and not is_named_virial else ""
    numbers = {"slope": slopes[0].slope, "correlation": slopes[0].correlation}
    return field_finding(source, "stress", "S", text, advice, None, **numbers)


def _units_of_stress(units: Units) -> dict[str, float]:
    """Return what one unit of stress, of energy and length as in ``units``, is in other units."""
    if units.hartree is None or units.bohr is None:
        return {"": 1.0}
    own = units.hartree / units.bohr**3
    found = {"": 1.0} | {f"in {name}": pressure / own for name, pressure in _PRESSURES.items()}
    for (hartree, energy), (bohr, length) in product(ENERGIES.items(), LENGTHS.items()):
        factor = hartree / bohr**3 / own
        if abs(log(factor)) > _NEAR:
            found[f"in {energy}/{length}³"] = factor
    return found
