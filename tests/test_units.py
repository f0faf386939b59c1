import pytest
from scipy.constants import N_A, angstrom, c, calorie, e, physical_constants

from pyg_nnp import units


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
