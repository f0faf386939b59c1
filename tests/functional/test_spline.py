"""Quintic splines."""

import pytest
import torch
from torch import Tensor

from pyg_nnp.functional.spline import spline_coefficients, spline_nodes, spline_weights
from pyg_nnp.kernels import filters_of_pairs


@pytest.mark.parametrize("rows", [64, 96])
def test_spline_goes_through_what_it_is_made_of(rows: int) -> None:
    def function(r: Tensor) -> Tensor:
        return torch.stack((torch.sin(1.7 * r), torch.exp(-((r - 2) ** 2)), r**5 - 2 * r), dim=1)

    r = torch.linspace(0, 4, 101, dtype=torch.float64, requires_grad=True)
    table = spline_coefficients(function(spline_nodes(4.0, rows, r.device, r.dtype)))
    found = filters_of_pairs(*spline_weights(r, 4.0, rows - 5), table)
    assert float((found - function(r)).detach().abs().max()) < 1e-7
    by_r = [torch.autograd.grad(function(r)[:, k].sum(), r)[0] for k in range(3)]
    slopes = filters_of_pairs(*spline_weights(r, 4.0, rows - 5, order=1), table).T
    for expected, slope in zip(by_r, slopes, strict=True):
        assert float((slope - expected).detach().abs().max()) < 1e-5


def test_spline_weights_can_be_differentiated_again_and_again() -> None:
    r = torch.tensor([0.0, 0.3, 1.9, 3.99, 4.0], dtype=torch.float64)
    weights, rows = spline_weights(r, 4.0, 8)
    assert rows.tolist() == [0, 0, 3, 7, 7]
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(5, dtype=torch.float64))
    inside = r[1:4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda r: spline_weights(r, 4.0, 8)[0], inside)
    assert torch.autograd.gradgradcheck(lambda r: spline_weights(r, 4.0, 8)[0], inside)
    (slope,) = torch.autograd.grad(spline_weights(inside, 4.0, 8)[0][:, 2].sum(), inside)
    torch.testing.assert_close(slope, spline_weights(inside, 4.0, 8, order=1)[0][:, 2])
