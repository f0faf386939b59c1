"""The universal potential, by hand."""

import math

import torch

from pyg_nnp.functional.zbl import screened_repulsion


def test_repulsion_by_hand() -> None:
    """Silicon and oxygen 1.3 Bohr apart, in Bohr and in Angstrom."""
    a = 0.88534 / (14**0.23 + 8**0.23)
    x = 1.3 / a
    phi = 0.18175 * math.exp(-3.1998 * x) + 0.50986 * math.exp(-0.94229 * x)
    phi += 0.28022 * math.exp(-0.4029 * x) + 0.02817 * math.exp(-0.20162 * x)
    for bohr in (1.0, 0.529177210544):
        given = (torch.tensor([value], dtype=torch.float64) for value in (1.3 * bohr, 14.0, 8.0))
        torch.testing.assert_close(float(screened_repulsion(*given, bohr)) * bohr, 14 * 8 / 1.3 * phi)


def test_nuclei_that_touch_are_bare() -> None:
    """The coefficients add up to 1, to the five digits that they have."""
    found = screened_repulsion(*(torch.tensor([value], dtype=torch.float64) for value in (1e-9, 6.0, 7.0)), 1.0)
    torch.testing.assert_close(float(found) * 1e-9, 42.0, rtol=2e-5, atol=0)
