"""Constants, CODATA 2022 as published by NIST, and the units of users in eV and Å."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from pyg_nnp.errors import DataError

BOHR_IN_ANGSTROM = 0.529177210544
HARTREE_IN_EV = 27.211386245981
HARTREE_IN_KJ_PER_MOL = 2625.4996394799
HARTREE_IN_KCAL_PER_MOL = HARTREE_IN_KJ_PER_MOL / 4.184
E_ANGSTROM_IN_DEBYE = 4.80320471388

# one Hartree in a unit, and its name; one Bohr likewise
ENERGIES = {1.0: "Hartree", HARTREE_IN_EV: "eV", HARTREE_IN_KCAL_PER_MOL: "kcal/mol", HARTREE_IN_KJ_PER_MOL: "kJ/mol"}
LENGTHS = {1.0: "Bohr", BOHR_IN_ANGSTROM: "Å", BOHR_IN_ANGSTROM / 10: "nm"}

# Hartree–Fock energies of atoms from H to Ar are within 8 % of this times Z to this power [Hartree]
_ATOM, _POWER = -0.5, 2.41

# how far the numbers of different tables are apart
_SAME_UNIT = 1e-4


def units_of(known: Mapping[str, float], **given: float | None) -> tuple[float, float]:
    """Return the units of energy [eV] and length [Å] of a potential.

    Args:
        known: what it was built with, perhaps ``Hartree_in_E`` and ``Bohr_in_R``.
        given: the same by the user, who has the last word; None where nothing is given.

    Raises:
        DataError: one of them is not known.
    """
    known = {**known, **{name: value for name, value in given.items() if value is not None}}
    for name in ("Hartree_in_E", "Bohr_in_R"):
        if name not in known:
            raise DataError(f"the potential does not say its units. Give {name}.")
    return unit_of_energy(known["Hartree_in_E"]), unit_of_length(known["Bohr_in_R"])


def unit_of_energy(Hartree_in_E: float) -> float:
    """Return the unit of energy [eV] in which a Hartree is ``Hartree_in_E``; common units are exact."""
    return HARTREE_IN_EV / _nearest(Hartree_in_E, (*ENERGIES,))


def unit_of_length(Bohr_in_R: float) -> float:
    """Return the unit of length [Å] in which a Bohr is ``Bohr_in_R``; Bohr, Å and nm are exact."""
    return BOHR_IN_ANGSTROM / _nearest(Bohr_in_R, (*LENGTHS,))


def unit_of_total_energies(mean: float, Za: NDArray[Any], num_molecules: int) -> float | None:
    """Return one Hartree in the unit that energies of all electrons would have, or None where it is none of ours.

    Args:
        mean: of the energies.
        Za: (A,) atomic numbers in all molecules.
        num_molecules: their number.
    """
    expected = float((_ATOM * Za.astype(float) ** _POWER).sum()) / max(num_molecules, 1)
    return next((hartree for hartree in ENERGIES if expected and 0.9 < mean / expected / hartree < 1.1), None)


def unit_names(Hartree_in_E: float | None, Bohr_in_R: float | None) -> dict[str, str]:
    """Return how the units of a data set are written, by the kinds of unit of :data:`pyg_nnp.fields.FIELDS`.

    Args:
        Hartree_in_E: one Hartree in the unit of energy; None: not known.
        Bohr_in_R: one Bohr in the unit of length; None: not known.
    """
    energy = ENERGIES.get(_nearest(Hartree_in_E or 0.0, (*ENERGIES,)), "units of E")
    length = LENGTHS.get(_nearest(Bohr_in_R or 0.0, (*LENGTHS,)), "units of Ra")
    known = energy in ENERGIES.values() and length in LENGTHS.values()
    return {
        "1": "",
        "energy": energy,
        "length": length,
        "energy/length": f"{energy}/{length}" if known else "units of Fa",
        "charge": "e",
        "charge*length": f"e {length}" if length in LENGTHS.values() else "units of M2",
    }


def unit_names_of(known: Mapping[str, float]) -> dict[str, str]:
    """Return :func:`unit_names` of what a potential was built with."""
    return unit_names(known.get("Hartree_in_E"), known.get("Bohr_in_R"))


def _nearest(value: float, common: tuple[float, ...]) -> float:
    return next((known for known in common if abs(value / known - 1) < _SAME_UNIT), value)
