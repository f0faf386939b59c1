"""How far slopes between near frames can be trusted."""

import pytest

from pyg_nnp.diagnostics.force_units import Slope
from pyg_nnp.diagnostics.near_slopes import _of_both


def test_slopes_where_both_are_inexact() -> None:
    """y = x with as much noise in one as in the other: the slopes are r and 1 / r, and their geometric mean is 1."""
    found = _of_both(Slope(0.8, 0.04, 0.8, 100), 0.05)
    assert found.slope == pytest.approx(1.0)
    assert found.error == pytest.approx(0.05)
    assert found.doubt == pytest.approx((0.05**2 + (0.25 / 3) ** 2) ** 0.5)
    assert found.uncertainty == pytest.approx((found.error**2 + found.doubt**2) ** 0.5)
    assert _of_both(Slope(-3.0, 0.1, -1.0, 9), 0.0) == Slope(-3.0, 0.1, -1.0, 9)
    nothing = Slope(0.0, float("inf"), 0.0, 2)
    assert _of_both(nothing, 0.1) == nothing
