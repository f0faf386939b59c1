import pytest
from scipy.constants import N_A, angstrom, c, calorie, e, physical_constants

from pyg_nnp import units
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS


# another year's CODATA differs by more than its uncertainty, but never by 1e-9
def test_constants_are_those_of_scipy() -> None:
    bohr, _, uncertainty = physical_constants["Bohr radius"]
    assert bohr / angstrom == pytest.approx(units.BOHR_IN_ANGSTROM, rel=max(1e-9, uncertainty / bohr))
    hartree = physical_constants["Hartree energy"][0]
    assert hartree / e == pytest.approx(units.HARTREE_IN_EV, rel=1e-9)
    assert hartree * N_A / 1000 == pytest.approx(units.HARTREE_IN_KJ_PER_MOL, rel=1e-9)
    assert hartree * N_A / (1000 * calorie) == pytest.approx(units.HARTREE_IN_KCAL_PER_MOL, rel=1e-9)
    # one Debye is 1e-21 / c [C m]
    assert e * angstrom / (1e-21 / c) == pytest.approx(units.E_ANGSTROM_IN_DEBYE, rel=1e-9)


def test_names_of_units() -> None:
    names = units.Units(27.2114, 0.5291772).names
    assert [names[kind] for kind in ("1", "energy", "length", "energy/length", "charge", "charge*length")] == [
        "",
        "eV",
        "Å",
        "eV/Å",
        "e",
        "e Å",
    ]
    assert units.Units(627.509, 1).names["energy/length"] == "kcal/mol/Bohr"
    assert units.Units(2625.5, 0.0529177).names["energy/length"] == "kJ/mol/nm"
    # all kinds that the table of fields has
    assert {field.unit for field in FIELDS.values()} <= names.keys()


@pytest.mark.parametrize("given", [(None, None), (3.0, 1.0), (1.0, 3.0), (1.0, None)])
def test_units_that_have_no_name(given: tuple[float | None, float | None]) -> None:
    assert units.Units(*given).names["energy/length"] == "units of Fa"


# what one Hartree, one Bohr and both are in units of eV and Å, as scipy has them
EV, ANGSTROM = physical_constants["Hartree energy in eV"][0], physical_constants["Bohr radius"][0] / angstrom
KCAL = physical_constants["Hartree energy"][0] * N_A / (1000 * calorie)


@pytest.mark.parametrize(
    ("expected", "texts"),
    [
        (1.0, "Hartree|hartrees|Ha|Eh|E_h|a.u.|a. u.|au|atomic units|atomic_unit"),
        (EV, "eV|EV| ev |electronvolt|electronvolts|(eV)|[eV]|1.0 eV"),
        (
            KCAL,
            "kcal/mol|kcal mol-1|kcal mol^-1|kcal mol⁻¹|kcal·mol⁻¹|kcal mol**-1|kcal_per_mol|kcal|KCAL/MOL|kcal/mole",
        ),
        (KCAL * 4.184, "kJ/mol|kJ mol-1|kj"),
        (1000 * EV, "meV|0.001 eV"),
        (1000.0, "mHa|mEh|mHartree"),
        (2.0, "Ry|Rydberg"),
        (physical_constants["hartree-inverse meter relationship"][0] / 100, "cm-1|cm^-1|1/cm|cm⁻¹"),
    ],
)
def test_texts_of_energies(expected: float, texts: str) -> None:
    for text in texts.split("|"):
        found = units.Units.parse(text, "energy")
        assert found is not None, text
        assert found.hartree == pytest.approx(expected, rel=1e-8), text
        assert found.bohr is None


@pytest.mark.parametrize(
    ("expected", "texts"),
    [
        (1.0, "Bohr|bohrs|a0|a_0"),
        (ANGSTROM, "Å|A\u030a|\u212b|A|Ang|ang|Angstrom|angstroms|Ångström|Angström"),
        (ANGSTROM / 10, "nm|nanometer|nanometers"),
        (ANGSTROM * 100, "pm"),
        (ANGSTROM * 2, "0.5 Angstrom|5e-1 Å"),
    ],
)
def test_texts_of_lengths(expected: float, texts: str) -> None:
    for text in texts.split("|"):
        found = units.Units.parse(text, "length")
        assert found is not None, text
        assert found.bohr == pytest.approx(expected, rel=1e-8), text
        assert found.hartree is None


@pytest.mark.parametrize(
    ("hartree", "bohr", "texts"),
    [
        (1.0, 1.0, "Hartree/Bohr|Eh/a0|E_h/a_0|hartree_per_bohr|Ha Bohr-1|au|a.u."),
        (EV, ANGSTROM, "eV/Ang|eV/A|eV/Å|eV Å-1|eV Å⁻¹|eV*Ang^-1|eV Ang**-1|ev/angstrom"),
        (KCAL, ANGSTROM, "kcal/mol/Ang|kcal/(mol Å)|kcal/(mol*A)|kcal mol-1 A-1|kcal mol⁻¹ Å⁻¹|kcal/mol-A|kcal/mol/Å"),
        (KCAL * 4.184, ANGSTROM / 10, "kJ/mol/nm|kJ/(mol nm)|kJ mol^-1 nm^-1"),
        (1.0, ANGSTROM, "Hartree/Ang|a.u./Å"),
    ],
)
def test_texts_of_forces(hartree: float, bohr: float, texts: str) -> None:
    for text in texts.split("|"):
        found = units.Units.parse(text, "energy/length")
        assert found == units.Units.parse(text), text
        assert found is not None, text
        assert (found.hartree, found.bohr) == (pytest.approx(hartree, rel=1e-8), pytest.approx(bohr, rel=1e-8)), text


def test_texts_of_dipoles() -> None:
    for text in ["e*Ang", "e Å", "eÅ", "eAng", "e-Ang", "elementary_charge*angstrom"]:
        found = units.Units.parse(text, "charge*length")
        assert found is not None, text
        assert found.bohr == pytest.approx(ANGSTROM, rel=1e-8), text
    assert units.Units.parse("a.u.", "charge*length") == units.Units(None, 1.0)
    debye = units.Units.parse("Debye", "charge*length")
    assert debye is not None
    assert debye.bohr == pytest.approx(2.541746, rel=1e-6)  # one e a0


@pytest.mark.parametrize(
    "text", ["", "1", "foo", "eV/atom", "Hartree/mol", "mol", "eV/Ang^2", "eV*Ang", "kcal/mol/rad", "fs", "K", "/", "e"]
)
def test_texts_that_are_no_units(text: str) -> None:
    assert units.Units.parse(text) is None


def test_a_kind_takes_its_own_texts_alone() -> None:
    assert units.Units.parse("Ang", "energy") is None
    assert units.Units.parse("eV", "length") is None
    assert units.Units.parse("eV", "energy/length") is None
    assert units.Units.parse("eV/Ang", "energy") is None
    assert units.Units.parse("Debye", "length") is None


@pytest.mark.parametrize("given", [(1.0, 1.0), (27.2114, 0.5291772), (627.509, 1), (2.0, 0.0529177), (3.3, 0.7)])
def test_written_units_are_understood(given: tuple[float, float]) -> None:
    written = units.Units(*given)
    texts = written.texts
    assert all(text.isascii() for text in texts.values())
    read = units.Units.parse(texts["energy"], "energy").or_else(units.Units.parse(texts["length"], "length"))
    assert read.factor_to(written, "energy/length") == pytest.approx(1, rel=1e-12)
    assert written.attributes == {"energy_unit": texts["energy"], "length_unit": texts["length"]}
    assert units.Units(None, 1.0).attributes == {"length_unit": "Bohr"}


def test_factors_between_units() -> None:
    atomic, ase = units.Units(1.0, 1.0), units.ASE
    assert atomic.factor_to(ase, "energy") == pytest.approx(EV)
    assert atomic.factor_to(ase, "length") == pytest.approx(ANGSTROM)
    assert atomic.factor_to(ase, "energy/length") == pytest.approx(EV / ANGSTROM)
    assert atomic.factor_to(ase, "charge*length") == pytest.approx(ANGSTROM)
    assert atomic.factor_to(ase, "charge") == 1
    # the same units, also where digits were left out, or nobody knows them
    assert units.Units(27.2114, 0.529177).factor_to(ase, "energy/length") == 1
    assert units.Units().factor_to(ase, "energy") == 1
    assert units.Units().factor_to(units.Units(), "length") == 1
    assert units.Units(1.0).factor_to(units.Units(1.0), "energy/length") == 1
    with pytest.raises(DataError, match="does not say its units"):
        ase.factor_to(units.Units(None, 1.0), "energy")
