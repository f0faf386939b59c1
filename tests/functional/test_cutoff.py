"""Cutoff functions by hand, and their derivatives."""

import pytest
import torch

from pyg_nnp.functional.cutoff import cosine_cutoff, polynomial_cutoff, smooth_switch, unclamped_polynomial


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


def test_polynomial_goes_on_beyond_the_cutoff_with_all_derivatives() -> None:
    r = torch.linspace(0, 3, 31, dtype=torch.float64)
    x = r / 2
    torch.testing.assert_close(unclamped_polynomial(r, 2.0), 1 - 6 * x**5 + 15 * x**4 - 10 * x**3)
