"""Radial basis functions."""

import numpy as np
import pytest
import torch
from scipy.special import spherical_jn

from pyg_nnp.functional.radial import bessel_basis, gaussian_basis


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gaussians_are_never_subnormal(dtype: torch.dtype) -> None:
    r = torch.linspace(0, 20, 997, dtype=dtype)
    centers = torch.linspace(0, 20, 65, dtype=torch.float64)
    found = gaussian_basis(r, centers.to(dtype), 0.3125)
    expected = torch.exp(-0.5 * ((r[:, None].double() - centers) / 0.3125) ** 2)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-15)
    assert bool((found == 0).any())
    assert float(found[found > 0].min()) > 1e-22


def test_bessel_functions_by_scipy() -> None:
    """Spherical Bessel functions of order 0, finite at 0 and zero at the cutoff."""
    r = torch.linspace(0, 4.5, 91, dtype=torch.float64)
    found = bessel_basis(r, torch.arange(1, 21, dtype=torch.float64), 4.5)
    n = np.arange(1, 21)
    expected = 2**0.5 * spherical_jn(0, n * np.pi * r.numpy()[:, None] / 4.5)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    assert float(found[-1].abs().max()) < 1e-14
