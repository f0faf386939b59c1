"""Quintic splines."""

import math

import pytest
import torch
from torch import Tensor

from pyg_nnp.functional.spline import spline_coefficients, spline_nodes, spline_weights
from pyg_nnp.kernels import filters_of_pairs


@pytest.mark.parametrize(("rows", "step"), [(64, 1), (96, 1), (96, 2)])
def test_spline_goes_through_what_it_is_made_of(rows: int, step: int) -> None:
    def function(r: Tensor) -> Tensor:
        return torch.stack((torch.sin(1.7 * r), torch.exp(-((r - 2) ** 2)), r**5 - 2 * r), dim=1)

    r = torch.linspace(0, 4, 101, dtype=torch.float64, requires_grad=True)
    table = spline_coefficients(function(spline_nodes(4.0, rows, r.device, r.dtype, step)), step)
    found = filters_of_pairs(*spline_weights(r, 4.0, rows - 5), table)
    assert float((found - function(r)).detach().abs().max()) < 1e-7
    by_r = [torch.autograd.grad(function(r)[:, k].sum(), r)[0] for k in range(3)]
    slopes = filters_of_pairs(*spline_weights(r, 4.0, rows - 5, order=1), table).T
    for expected, slope in zip(by_r, slopes, strict=True):
        assert float((slope - expected).detach().abs().max()) < 1e-5


@pytest.mark.parametrize("share", [0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
def test_half_of_the_nodes_know_the_waves_between_them(share: float) -> None:
    """Coefficients of waves of some share of the shortest that every second node knows, against their exact ones."""
    rows, phase = 96, share * math.pi
    nodes = spline_nodes(1.0 * (rows - 5), rows, torch.device("cpu"), torch.float64, step=2)
    found = spline_coefficients(
        torch.stack((torch.cos(phase * nodes / 2), torch.sin(phase * nodes / 2)), dim=1), step=2
    )
    places = torch.arange(rows, dtype=torch.float64) - 2
    response = (66 + 52 * math.cos(phase / 2) + 2 * math.cos(phase)) / 120
    exact = torch.stack((torch.cos(phase * places / 2), torch.sin(phase * places / 2)), dim=1) / response
    tolerance = 2 * ((phase / (4 * math.pi)) ** 6 + 1e-12) if share else 1e-13
    assert float((found - exact).abs().max()) < tolerance


def test_spline_weights_can_be_differentiated_again_and_again() -> None:
    r = torch.tensor([0.0, 0.3, 1.9, 3.99, 4.0], dtype=torch.float64)
    weights, rows = spline_weights(r, 4.0, 8)
    assert rows.tolist() == [0, 0, 3, 7, 7]
    assert weights[:, 0].tolist() == [1.0] * 5
    assert bool((weights.diff(dim=1) < 1e-12).all() and (weights > -1e-12).all())
    inside = r[1:4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda r: spline_weights(r, 4.0, 8)[0], inside)
    assert torch.autograd.gradgradcheck(lambda r: spline_weights(r, 4.0, 8)[0], inside)
    (slope,) = torch.autograd.grad(spline_weights(inside, 4.0, 8)[0][:, 2].sum(), inside)
    torch.testing.assert_close(slope, spline_weights(inside, 4.0, 8, order=1)[0][:, 2])
