"""Constants, CODATA 2022 as published by NIST, and the units of users in eV and Å."""

BOHR_IN_ANGSTROM = 0.529177210544
HARTREE_IN_EV = 27.211386245981
HARTREE_IN_KJ_PER_MOL = 2625.4996394799
HARTREE_IN_KCAL_PER_MOL = HARTREE_IN_KJ_PER_MOL / 4.184
E_ANGSTROM_IN_DEBYE = 4.80320471388

# how far the numbers of different tables are apart
_SAME_UNIT = 1e-4


def unit_of_energy(Hartree_in_E: float) -> float:
    """Return the unit of energy [eV] in which a Hartree is ``Hartree_in_E``; common units are exact."""
    common = (1.0, HARTREE_IN_EV, HARTREE_IN_KCAL_PER_MOL, HARTREE_IN_KJ_PER_MOL)
    return HARTREE_IN_EV / _nearest(Hartree_in_E, common)


def unit_of_length(Bohr_in_R: float) -> float:
    """Return the unit of length [Å] in which a Bohr is ``Bohr_in_R``; Bohr, Å and nm are exact."""
    return BOHR_IN_ANGSTROM / _nearest(Bohr_in_R, (1.0, BOHR_IN_ANGSTROM, BOHR_IN_ANGSTROM / 10))


def _nearest(value: float, common: tuple[float, ...]) -> float:
    return next((known for known in common if abs(value / known - 1) < _SAME_UNIT), value)
