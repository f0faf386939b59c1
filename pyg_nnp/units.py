"""Constants, CODATA 2022 as published by NIST, and the units of users in those of ASE."""

import ase.units

BOHR_IN_ANGSTROM = 0.529177210544
# how far the numbers of different tables are apart
_SAME_UNIT = 1e-4


def unit_of_energy(Hartree_in_E: float) -> float:
    """Return the unit of energy [eV] in which a Hartree is ``Hartree_in_E``; common units are exact."""
    named = (ase.units.Hartree, 1.0, ase.units.kcal / ase.units.mol, ase.units.kJ / ase.units.mol)
    return _nearest(ase.units.Hartree / Hartree_in_E, named)


def unit_of_length(Bohr_in_R: float) -> float:
    """Return the unit of length in Å in which one Bohr is ``Bohr_in_R``; Bohr, Å and nm are exact."""
    return _nearest(ase.units.Bohr / Bohr_in_R, (ase.units.Bohr, 1.0, ase.units.nm))


def _nearest(unit: float, named: tuple[float, ...]) -> float:
    return next((known for known in named if abs(unit / known - 1) < _SAME_UNIT), unit)
