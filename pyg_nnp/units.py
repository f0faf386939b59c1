"""Constants, CODATA 2022 as published by NIST, the units of users in eV and Å, and how units are written."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
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
HARTREE_IN_WAVENUMBERS = 219474.63136314
E_ANGSTROM_IN_DEBYE = 4.80320471388

OPTIONS = ("Hartree_in_E", "Bohr_in_R")
"""Options of a model that say its units."""

# one Hartree in a unit, and its name; one Bohr likewise
ENERGIES = {1.0: "Hartree", HARTREE_IN_EV: "eV", HARTREE_IN_KCAL_PER_MOL: "kcal/mol", HARTREE_IN_KJ_PER_MOL: "kJ/mol"}
LENGTHS = {1.0: "Bohr", BOHR_IN_ANGSTROM: "Å", BOHR_IN_ANGSTROM / 10: "nm"}
# units of energy that no data set is guessed to have, but that files may state
_RARE = {2.0: "Ry", 1000.0: "mHartree", 1000 * HARTREE_IN_EV: "meV", HARTREE_IN_WAVENUMBERS: "1/cm"}

# one Hartree or one Bohr in a unit, by what texts call it, in lower case and without the s of a plural
_ENERGY_NAMES = {
    **dict.fromkeys(("hartree", "ha", "eh", "au"), 1.0),
    **dict.fromkeys(("ev", "electronvolt"), HARTREE_IN_EV),
    "kcal": HARTREE_IN_KCAL_PER_MOL,
    "kj": HARTREE_IN_KJ_PER_MOL,
    "mev": 1000 * HARTREE_IN_EV,
    **dict.fromkeys(("ry", "rydberg"), 2.0),
    **dict.fromkeys(("mha", "meh", "mhartree"), 1000.0),
    "wavenumber": HARTREE_IN_WAVENUMBERS,
}
_LENGTH_NAMES = {
    **dict.fromkeys(("bohr", "a0", "au"), 1.0),
    **dict.fromkeys(("å", "a", "ang", "angstrom", "ångström", "ångstrom", "angström"), BOHR_IN_ANGSTROM),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), BOHR_IN_ANGSTROM / 10),
    **dict.fromkeys(("pm", "picometer", "picometre"), BOHR_IN_ANGSTROM * 100),
}
_CHARGE_NAMES = ("e", "elementary", "charge", "electron")
_DEBYE = {"d": BOHR_IN_ANGSTROM * E_ANGSTROM_IN_DEBYE, "debye": BOHR_IN_ANGSTROM * E_ANGSTROM_IN_DEBYE}
# other spellings of the same, one after the other: pattern, what it becomes
_SPELLINGS = (
    (r"\be_h\b", "eh"),
    (r"\ba_0\b", "a0"),
    (r"\ba\.\s?u\.?|\batomic[ _]units?\b|^atomic$", "au"),
    (r"_", " "),
    (r"\bper\b", "/"),
    (r"\*\*", "^"),
    (r"[·⋅×]", "*"),
    (r"(/[^/*\s]*)-(?=[^\W\d])", r"\1/"),  # kcal/mol-A
    (r"-(?=[^\W\d])", "*"),  # e-Ang
    (r"^1 ?/ ?cm$|^cm ?\^? ?-1$", "wavenumber"),
    (r"/ ?\(([^()]*)\)", lambda found: "/" + "/".join(re.split(r"[\s*]+", found[1].strip()))),
    (r"[\[\]()]", ""),
    (r"\b(kcal|kj) ?(?:/ ?mole?\b|\*? ?mol ?\^? ?-1)", r"\1"),  # there is no other of a molecule
    (r"\be(ang|a0|å|bohr)", r"e*\1"),
)
_FACTOR = r"([*/]?)\s*(a0|[^\W\d_]+)\s*(?:\^?\s*([+-]?\d+))?\s*"

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

    @classmethod
    def parse(cls, text: str, kind: Kind | None = None) -> "Units | None":
        """Return the units that a text names, such as ``kcal/mol/Ang`` or ``27.2 eV``; None: not understood.

        Of the ``kind``, or of energy, length or both. For ``charge*length`` it is the length that goes with e.
        """
        if kind is None:
            kinds: tuple[Kind, ...] = ("energy/length", "energy", "length")
            return next((found for one in kinds if (found := cls.parse(text, one))), None)
        number, factors = _factors(text)
        if factors == [("au", 1)]:
            return cls(1.0 if "energy" in kind else None, 1.0 if "length" in kind else None)
        hartree = bohr = None
        for name, power in factors:
            if hartree is None and kind.startswith("energy") and power == 1 and name in _ENERGY_NAMES:
                hartree = _ENERGY_NAMES[name] / number
            elif bohr is None and kind.endswith("length") and (name, power) in _lengths(kind):
                bohr = _lengths(kind)[name, power] / (1.0 if hartree else number)
            elif not (kind == "charge*length" and power == 1 and name in _CHARGE_NAMES):
                return None
        is_whole = (hartree is not None) == kind.startswith("energy") and (bohr is not None) == kind.endswith("length")
        return cls(hartree, bohr) if is_whole else None

    def or_else(self, other: "Units") -> "Units":
        """Return these units, and those of ``other`` where they are not known."""
        return Units(
            other.hartree if self.hartree is None else self.hartree, other.bohr if self.bohr is None else self.bohr
        )

    @property
    def energy(self) -> float:
        """The unit of energy [eV]; common units are exact, and one that is not known is a :class:`DataError`."""
        return HARTREE_IN_EV / _nearest(_known(self.hartree, "Hartree_in_E"), (*ENERGIES, *_RARE))

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
        if kind.startswith("energy/length"):
            return self.energy / self.length ** (3 if kind.endswith("^3") else 1)
        if kind == "energy":
            return self.energy
        return self.length if kind in ("length", "charge*length") else 1.0

    def factor_to(self, other: "Units", kind: Kind) -> float:
        """Return what numbers of a kind of unit are multiplied with for those of other units; exactly 1 for the same.

        A unit that is not known on either side is the same on both; one that is known here alone is a
        :class:`DataError`.
        """
        mine = self.or_else(other)
        is_same = ("energy" not in kind or mine.hartree == other.hartree) and (
            "length" not in kind or mine.bohr == other.bohr
        )
        return 1.0 if is_same else mine.in_ase(kind) / other.in_ase(kind)

    @property
    def texts(self) -> dict[str, str]:
        """What :meth:`parse` understands, in ASCII, by kind of unit; of those that are known."""
        known = {"energy": self.hartree and self.names["energy"], "length": self.bohr and self.names["length"]}
        in_ase = {"energy": lambda: f"{self.energy!r} eV", "length": lambda: f"{self.length!r} Angstrom"}
        texts = {kind: name if Units.parse(name) else in_ase[kind]() for kind, name in known.items() if name}
        return {kind: text.replace("Å", "Angstrom") for kind, text in texts.items()}

    @property
    def options(self) -> dict[str, float]:
        """The options of a model that say these units, as far as they are known."""
        values = zip(OPTIONS, (self.hartree, self.bohr), strict=True)
        return {name: value for name, value in values if value is not None}

    @property
    def attributes(self) -> dict[str, str]:
        """What files have beside their arrays, so that they say their units: ``energy_unit`` and ``length_unit``."""
        return {f"{kind}_unit": text for kind, text in self.texts.items()}

    @property
    def names(self) -> dict[str, str]:
        """How the units are written, by the kinds of unit of :data:`pyg_nnp.fields.FIELDS`."""
        energies = ENERGIES | _RARE
        energy = energies.get(_nearest(self.hartree or 0.0, (*energies,)), "units of E")
        length = LENGTHS.get(_nearest(self.bohr or 0.0, (*LENGTHS,)), "units of Ra")
        known = energy in energies.values() and length in LENGTHS.values()
        return {
            "1": "",
            "energy": energy,
            "length": length,
            "energy/length": f"{energy}/{length}" if known else "units of Fa",
            "energy/length^3": f"{energy}/{length}³" if known else "units of S",
            "charge": "e",
            "charge*length": f"e {length}" if length in LENGTHS.values() else "units of M2",
        }


ASE = Units(HARTREE_IN_EV, BOHR_IN_ANGSTROM)
"""The units of ASE: eV and Å."""


def unit_of_total_energies(mean: float, Za: "NDArray[Any]", num_molecules: int) -> float | None:
    """Return one Hartree in the unit that energies of all electrons would have, or None where it is none of ours.

    Of the mean of the energies, and (A,) the atomic numbers in all molecules.
    """
    expected = float((_ATOM * Za.astype(float) ** _POWER).sum()) / max(num_molecules, 1)
    return next((hartree for hartree in ENERGIES if expected and 0.9 < mean / expected / hartree < 1.1), None)


def _factors(text: str) -> tuple[float, list[tuple[str, int]]]:
    """Return the number in front of a unit, or 1, and each of its factors with its power; none: not understood."""
    plain = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").strip()
    number = re.match(r"\d+\.?\d*(?:e[+-]?\d+)?(?= )", plain, re.IGNORECASE)
    plain = plain[number.end() :].strip() if number else plain
    plain = plain.casefold()
    for pattern, instead in _SPELLINGS:
        plain = re.sub(pattern, instead, plain)
    if not re.fullmatch(f"(?:{_FACTOR})+", plain.strip()):
        return 1.0, []
    return float(number[0]) if number else 1.0, [*_powers(plain)]


def _powers(plain: str) -> Iterator[tuple[str, int]]:
    for sign, name, power in re.findall(_FACTOR, plain):
        known = name if name in _ENERGY_NAMES | _LENGTH_NAMES else name.removesuffix("s")
        yield known, (-1 if sign == "/" else 1) * int(power or 1)


def _lengths(kind: Kind) -> dict[tuple[str, int], float]:
    """Return name of a unit of length and its power -> one Bohr in that unit."""
    names = _LENGTH_NAMES | (_DEBYE if kind == "charge*length" else {})
    return {(name, -1 if kind == "energy/length" else 1): bohr for name, bohr in names.items()}


def _is_unit(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _known(value: float | None, option: str) -> float:
    if value is None:
        instead = f"Give {option} to the calculator, or in build_params of the training"
        raise DataError(f"the potential does not say its units. {instead}.")
    return value


def _nearest(value: float, common: tuple[float, ...]) -> float:
    return next((known for known in common if abs(value / known - 1) < _SAME_UNIT), value)
