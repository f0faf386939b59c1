import pytest
from scipy.constants import N_A, angstrom, c, calorie, e, physical_constants

from pyg_nnp import units
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
