"""Cutoffs by hand, and their derivatives; radial basis functions; the shifted force."""

import pytest
import torch

from pyg_nnp.functional.radial import (
    cosine_cutoff,
    damped_coulomb,
    gaussian_basis,
    polynomial_cutoff,
    shifted_force,
    smooth_switch,
)


def test_cutoffs_by_hand() -> None:
    r = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(cosine_cutoff(r, 2.0), torch.tensor([1.0, 0.5, 0.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(polynomial_cutoff(r, 2.0), torch.tensor([1.0, 0.5, 0.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(smooth_switch(r, 0.5, 1.5), torch.tensor([1.0, 0.5, 0.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("function", [cosine_cutoff, polynomial_cutoff])
def test_cutoffs_have_finite_derivatives(function) -> None:
    r = torch.linspace(0.1, 3.0, 59, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: function(r, 2.03), r)
    assert torch.autograd.gradgradcheck(lambda r: function(r, 2.03), r)


def test_switch_has_finite_derivatives_everywhere() -> None:
    r = torch.linspace(0.0, 3.0, 601, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(smooth_switch(r, 1.0, 2.0).sum(), r, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), r)
    assert slope.isfinite().all()
    assert curvature.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gaussians_are_never_subnormal(dtype: torch.dtype) -> None:
    r = torch.linspace(0, 20, 997, dtype=dtype)
    centers = torch.linspace(0, 20, 65, dtype=torch.float64)
    found = gaussian_basis(r, centers.to(dtype), 0.3125)
    expected = torch.exp(-0.5 * ((r[:, None].double() - centers) / 0.3125) ** 2)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-15)
    assert bool((found == 0).any())
    assert float(found[found > 0].min()) > 1e-22


@pytest.mark.parametrize("flavor", ["PhysNet", "SpookyNet"])
def test_shifted_force_ends_smoothly(flavor: str) -> None:
    r = torch.tensor([5.9999999, 6.0000001], dtype=torch.float64, requires_grad=True)
    chi = shifted_force(r, damped_coulomb(r, 5.0, 1.0, flavor), 6.0)
    (slope,) = torch.autograd.grad(chi.sum(), r)
    assert float(chi.detach().abs().max()) < 1e-12
    assert float(slope.abs().max()) < 1e-7
    inside = torch.tensor([4.0], dtype=torch.float64)
    expected = 1 / 4 - 1 / 6 + (4 - 6) / 36
    assert float(shifted_force(inside, 1 / inside, 6.0)) == pytest.approx(expected, rel=1e-12)
