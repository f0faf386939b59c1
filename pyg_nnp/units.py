"""Constants, CODATA 2022 as published by NIST, and the units of users in eV and Å."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyg_nnp.errors import DataError
from pyg_nnp.fields import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOHR_IN_ANGSTROM = 0.529177210544
HARTREE_IN_EV = 27.211386245981
HARTREE_IN_KJ_PER_MOL = 2625.4996394799
HARTREE_IN_KCAL_PER_MOL = HARTREE_IN_KJ_PER_MOL / 4.184
E_ANGSTROM_IN_DEBYE = 4.80320471388

OPTIONS = ("Hartree_in_E", "Bohr_in_R")
"""Options of a model that say its units."""

# one Hartree in a unit, and its name; one Bohr likewise
ENERGIES = {1.0: "Hartree", HARTREE_IN_EV: "eV", HARTREE_IN_KCAL_PER_MOL: "kcal/mol", HARTREE_IN_KJ_PER_MOL: "kJ/mol"}
LENGTHS = {1.0: "Bohr", BOHR_IN_ANGSTROM: "Å", BOHR_IN_ANGSTROM / 10: "nm"}

# Hartree–Fock energies of atoms from H to Ar are within 8 % of this times Z to this power [Hartree]
_ATOM, _POWER = -0.5, 2.41

# how far the numbers of different tables are apart
_SAME_UNIT = 1e-4


@dataclass(frozen=True)
class Units:
    """The units of energy and length of a data set or a potential.

    Attributes:
        hartree: one Hartree in the unit of energy; None: not known.
        bohr: one Bohr in the unit of length; None: not known.
    """

    hartree: float | None = None
    bohr: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Units":
        """Return the units that the options of a model say, ``Hartree_in_E`` and ``Bohr_in_R``."""
        hartree, bohr = (options.get(name) for name in OPTIONS)
        return cls(hartree if _is_unit(hartree) else None, bohr if _is_unit(bohr) else None)

    def or_else(self, other: "Units") -> "Units":
        """Return these units, and those of ``other`` where they are not known."""
        return Units(
            other.hartree if self.hartree is None else self.hartree, other.bohr if self.bohr is None else self.bohr
        )

    @property
    def energy(self) -> float:
        """The unit of energy [eV]; common units are exact, and one that is not known is a :class:`DataError`."""
        return HARTREE_IN_EV / _nearest(_known(self.hartree, "Hartree_in_E"), (*ENERGIES,))

    @property
    def length(self) -> float:
        """The unit of length [Å]; Bohr, Å and nm are exact, and one that is not known is a :class:`DataError`."""
        return BOHR_IN_ANGSTROM / _nearest(_known(self.bohr, "Bohr_in_R"), (*LENGTHS,))

    @property
    def likely_length(self) -> float:
        """The unit of length [Å]; where it is not known, Å."""
        return 1.0 if self.bohr is None else self.length

    def in_ase(self, kind: Kind) -> float:
        """Return what numbers of a kind of unit are multiplied with for eV, Å and e, as far as units are known."""
        if kind == "energy/length":
            return self.energy / self.length
        if kind == "energy":
            return self.energy
        return self.length if kind in ("length", "charge*length") else 1.0

    @property
    def names(self) -> dict[str, str]:
        """How the units are written, by the kinds of unit of :data:`pyg_nnp.fields.FIELDS`."""
        energy = ENERGIES.get(_nearest(self.hartree or 0.0, (*ENERGIES,)), "units of E")
        length = LENGTHS.get(_nearest(self.bohr or 0.0, (*LENGTHS,)), "units of Ra")
        known = energy in ENERGIES.values() and length in LENGTHS.values()
        return {
            "1": "",
            "energy": energy,
            "length": length,
            "energy/length": f"{energy}/{length}" if known else "units of Fa",
            "charge": "e",
            "charge*length": f"e {length}" if length in LENGTHS.values() else "units of M2",
        }


def unit_of_total_energies(mean: float, Za: "NDArray[Any]", num_molecules: int) -> float | None:
    """Return one Hartree in the unit that energies of all electrons would have, or None where it is none of ours.

    Of the mean of the energies, and (A,) the atomic numbers in all molecules.
    """
    expected = float((_ATOM * Za.astype(float) ** _POWER).sum()) / max(num_molecules, 1)
    return next((hartree for hartree in ENERGIES if expected and 0.9 < mean / expected / hartree < 1.1), None)


def _is_unit(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _known(value: float | None, option: str) -> float:
    if value is None:
        raise DataError(f"the potential does not say its units. Give {option}.")
    return value


def _nearest(value: float, common: tuple[float, ...]) -> float:
    return next((known for known in common if abs(value / known - 1) < _SAME_UNIT), value)
