"""Radial basis functions."""

import pytest
import torch

from pyg_nnp.functional.radial import gaussian_basis


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gaussians_are_never_subnormal(dtype: torch.dtype) -> None:
    r = torch.linspace(0, 20, 997, dtype=dtype)
    centers = torch.linspace(0, 20, 65, dtype=torch.float64)
    found = gaussian_basis(r, centers.to(dtype), 0.3125)
    expected = torch.exp(-0.5 * ((r[:, None].double() - centers) / 0.3125) ** 2)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-15)
    assert bool((found == 0).any())
    assert float(found[found > 0].min()) > 1e-22
