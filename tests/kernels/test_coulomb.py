"""The Coulomb potential: derivatives by finite differences."""

import pytest
from operators import INTERACTIONS, check_coulomb


@pytest.mark.parametrize(("flavor", "cutoff_lr"), INTERACTIONS)
def test_derivatives_of_coulomb(flavor: str, cutoff_lr: float | None) -> None:
    check_coulomb(flavor, cutoff_lr)
