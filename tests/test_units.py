import pytest
from scipy.constants import angstrom, physical_constants

from pyg_nnp.units import BOHR_IN_ANGSTROM


def test_constants_are_those_of_scipy() -> None:
    bohr, _, uncertainty = physical_constants["Bohr radius"]
    # another year's CODATA differs by more than its uncertainty, but never by 1e-9
    assert bohr / angstrom == pytest.approx(BOHR_IN_ANGSTROM, rel=max(1e-9, uncertainty / bohr))
