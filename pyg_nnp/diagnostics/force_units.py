"""Factors by which forces and energies are off: slopes that tell them, and the units that explain them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from math import hypot, log

import numpy as np
import torch

from pyg_nnp.diagnostics.finding import Array
from pyg_nnp.functional.bonds import bonds_of_hydrogen
from pyg_nnp.functional.difference import HasFields
from pyg_nnp.functional.geometry import edges_within_cells
from pyg_nnp.units import BOHR_IN_ANGSTROM, ENERGIES

HARTREE_IN = {unit: hartree for hartree, unit in ENERGIES.items()}
_BOHR_IN = {"Å": BOHR_IN_ANGSTROM, "Bohr": 1.0}
_BOHR_IN_NM = BOHR_IN_ANGSTROM / 10
# harmonic force constants of bonds of H to C, N and O as they come out of forces at some hundred kelvin
_STIFFNESS = {6: 0.28, 7: 0.36, 8: 0.44}  # Hartree/Bohr²

NEAR = 0.35
"""Largest logarithm of the ratio of a measured to a named factor."""


@dataclass(frozen=True)
class Slope:
    """A line through the origin, y = slope · x, with its standard error, its correlation, and the number of points.

    ``doubt`` is what the slope may be off by besides, relative to it.
    """

    slope: float
    error: float
    correlation: float
    number: int
    doubt: float = 0.0

    @property
    def uncertainty(self) -> float:
        """Standard error, with the doubt."""
        return hypot(self.error, self.doubt * self.slope)


def slope_of(x: Array, y: Array) -> Slope:
    r"""Fit :math:`y = s x` where x is exact: :math:`s = \sum x y / \sum x^2`.

    Points, (n,) each, ten times as far out as the median are left out, so that a broken frame does not decide, and
    those that are not finite, as where a label is missing.
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    near = (abs(x) <= 10 * np.median(abs(x))) & (abs(y) <= 10 * np.median(abs(y))) if len(x) else np.zeros(0, bool)
    x, y = x[near], y[near]
    xx, yy, xy = float(x @ x), float(y @ y), float(x @ y)
    if len(x) < 3 or xx * yy == 0:
        return Slope(0.0, float("inf"), 0.0, len(x))
    error = (max(yy - xy * xy / xx, 0.0) / (len(x) - 1) / xx) ** 0.5
    return Slope(xy / xx, error, xy / (xx * yy) ** 0.5, len(x))


def stiffness_of_bonds(
    batches: Iterable[HasFields], hartree: float | None, bohr: float | None
) -> tuple[Slope | None, float | None]:
    """Return the force constant of bonds of hydrogen, and how many times the usual it is in some units.

    Of bonds to C, N and O the most common ones are taken. ``hartree`` and ``bohr`` are one Hartree and one Bohr in
    the units of the batches, as far as they are known.
    """
    rows = [np.zeros((0, 3))]
    for batch in batches:
        Ra, Za, Fa = batch["Ra"].double(), batch["Za"], batch["Fa"].double()
        edges, lengths = bonds_of_hydrogen(Ra, Za, edges_within_cells(batch))
        outwards = (Ra[edges[1]] - Ra[edges[0]]) / lengths[:, None]
        forces = (Fa[edges[1]] * outwards).sum(dim=1)
        rows.append(torch.stack((Za[edges[0]].double(), lengths, forces), dim=1).numpy())
    # a frame that is there many times says no more than once
    found = np.unique(np.concatenate(rows), axis=0)
    if not len(found):
        return None, None
    element = int(np.bincount(found[:, 0].astype(int)).argmax())
    bond = stiffness(*found[found[:, 0] == element, 1:].T)
    if bond.number < 30 or abs(bond.correlation) < 0.8:
        return None, None
    if hartree is None or bohr is None:
        return bond, None
    return bond, abs(bond.slope) * bohr**2 / hartree / _STIFFNESS[element]


def stiffness(lengths: Array, forces: Array) -> Slope:
    """Fit the force constant k of like bonds, -f = k (r - r₀), with r within a tenth of its median.

    Args:
        lengths: (n,) lengths r.
        forces: (n,) force f on the light end of each bond, outwards.
    """
    middle = np.median(lengths)
    near = abs(lengths - middle) < 0.1 * middle
    r, f = lengths[near], forces[near]
    return slope_of(r - r.mean(), f.mean() - f) if len(r) else slope_of(r, f)


@dataclass(frozen=True)
class Mismatch:
    """Units that do not go together.

    Attributes:
        factor: how many times too large the numbers of the forces are.
        meaning: the unit that forces would have, and those of energies and positions.
        of_energies: it is the energies that are not in the configured unit, and not the forces.
    """

    factor: float
    meaning: str
    of_energies: bool = False


def mismatches(
    measured: float, error: float, hartree_in_e: float | None, bohr_in_r: float | None, doubt: float = 0.1
) -> tuple[Mismatch, ...]:
    r"""Name the units that explain a measured factor between forces and the slope of the energy.

    With :math:`E_h[e]` one Hartree in the unit e, :math:`a_0[l]` one Bohr in the unit l, and the unit of forces
    :math:`e_F / l_F`, the factor is

    .. math:: s = \frac{E_h[e_F]}{E_h[e]} \frac{a_0[l]}{a_0[l_F]}

    27.2 for eV with Hartree, 0.529 for forces per Bohr with positions in Å, and so on.

    Args:
        measured: the factor, without its sign.
        error: its standard error.
        hartree_in_e: one Hartree in the unit of energies, if it is known.
        bohr_in_r: one Bohr in the unit of positions, if it is known.
        doubt: units that contradict these two must be nearer by so much, in the logarithm of the factor.

    Returns:
        The nearest, and those that cannot be told from it; none if 1 is nearer, or no factor is near.
    """
    if measured <= 0:
        return ()
    # what the configuration says of the units can be wrong too
    off = {
        choice: abs(log(measured / choice.factor)) + (0 if agrees else doubt)
        for choice, agrees in _choices(hartree_in_e, bohr_in_r)
    }
    nearest = min(off, key=off.__getitem__)
    if abs(log(measured / nearest.factor)) >= min(NEAR, abs(log(measured))):
        return ()
    near = [choice for choice in off if off[choice] <= off[nearest] + max(0.03, 3 * error / measured)]
    return tuple(sorted(near, key=off.__getitem__))


def energy_unit(factor: float, hartree_in_e: float) -> str | None:
    """Name the unit of energies that explains why force constants are ``factor`` times what they usually are.

    It is the nearest, if it is near and not the one that is configured, in which one Hartree is ``hartree_in_e``.
    """
    off = {unit: abs(log(factor * hartree_in_e / hartree)) for unit, hartree in HARTREE_IN.items()}
    unit = min(off, key=off.__getitem__)
    return unit if off[unit] < NEAR < abs(log(factor)) else None


def _choices(hartree_in_e: float | None, bohr_in_r: float | None) -> Iterator[tuple[Mismatch, bool]]:
    """Yield all units that could be mixed up, and whether they are what the configuration says, as far as it does."""
    energies = [unit for unit in HARTREE_IN if _is(HARTREE_IN[unit], hartree_in_e)]
    # positions in nm are what is said, not what is guessed
    in_nm = bohr_in_r is not None and _is(_BOHR_IN_NM, bohr_in_r)
    bohr_in = _BOHR_IN | ({"nm": _BOHR_IN_NM} if in_nm else {})
    lengths = [unit for unit in bohr_in if _is(bohr_in[unit], bohr_in_r)]
    for e, e_force, length, length_force in product(HARTREE_IN, HARTREE_IN, bohr_in, bohr_in):
        same_energy, same_length = e == e_force, length == length_force
        # kJ/mol goes with nm or Å, hardly ever with Bohr
        if (same_energy and same_length) or ("kJ/mol" in (e, e_force) and not same_energy and not same_length):
            continue
        # these quotients are exactly 1 for the same units, so that all choices of one meaning are equal
        factor = (HARTREE_IN[e_force] / HARTREE_IN[e]) * (bohr_in[length] / bohr_in[length_force])
        per_energy = "" if same_energy else f"in {e_force} where energies are in {e}"
        per_length = "" if same_length else f"per {length_force} where positions are in {length}"
        meaning = ", and ".join(filter(None, (per_energy, per_length)))
        # what is not said in the meaning, such as the unit of energies and forces that have the same, is as configured
        agrees = (same_energy or e in energies) and (same_length or length in lengths)
        yield Mismatch(factor, meaning, not agrees and same_length and e_force in energies), agrees


def _is(unit: float, configured: float | None) -> bool:
    return configured is None or abs(log(configured / unit)) < 0.01
