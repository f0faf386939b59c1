"""B-splines and sums on meshes: against SciPy's splines, written-out sums and numeric derivatives."""

import pytest
import torch
from scipy.interpolate import BSpline

from pyg_nnp.functional.mesh import Points, b_splines, gather, spline_factors, spread


@pytest.mark.parametrize("order", [4, 8, 16])
def test_splines_are_those_of_scipy(order: int) -> None:
    t = torch.linspace(0.0, 1.0, 11, dtype=torch.float64)[:-1]
    spline = BSpline.basis_element(range(order + 1), extrapolate=False)
    for derivative in (0, 1, 2):
        x = t[:, None] + torch.arange(order)
        expected = torch.from_numpy(spline.derivative(derivative)(x.numpy()) if derivative else spline(x.numpy()))
        torch.testing.assert_close(b_splines(t, order, derivative), expected, rtol=1e-10, atol=1e-13)


def test_factors_are_coefficients_on_the_mesh() -> None:
    on_mesh = torch.zeros(9, dtype=torch.float64)
    on_mesh[1:4] = torch.tensor([1 / 6, 4 / 6, 1 / 6])  # the cubic one
    found = spline_factors(9, 4, torch.float64, torch.device("cpu"))
    torch.testing.assert_close(found, torch.fft.fft(on_mesh).abs())


def some_points() -> tuple[Points, torch.Tensor]:
    """Return points on two meshes, of which one is smaller than a spline, some outside of their meshes."""
    u = torch.tensor([[0.2, 6.9, -3.4], [5.1, 0.0, 2.5], [1.5, 1.2, -0.7], [11.0, 3.3, 0.4]], dtype=torch.float64)
    sizes, start = torch.tensor([[5, 6, 4]] * 2 + [[3, 2, 3]] * 2), torch.tensor([0, 0, 120, 120])
    return Points(u.floor().long(), sizes, start, 138, 4), u - u.floor()


def test_values_are_spread_and_gathered() -> None:
    points, t = some_points()
    spline = BSpline.basis_element(range(5), extrapolate=False)
    values = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    expected = torch.zeros(138, dtype=torch.float64)
    for v, first, rest, (X, Y, Z), start in zip(
        values, points.first.tolist(), t.tolist(), points.sizes.tolist(), points.start.tolist(), strict=True
    ):
        for a in range(4):
            for b in range(4):
                for c in range(4):
                    weight = float(spline(rest[0] + a) * spline(rest[1] + b) * spline(rest[2] + c))
                    x, y, z = (first[0] - a) % X, (first[1] - b) % Y, (first[2] - c) % Z
                    expected[start + (x * Y + y) * Z + z] += v * weight
    found = spread(values, t, points)
    torch.testing.assert_close(found, expected)
    mesh = torch.randn(138, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # one is the transpose of the other
    torch.testing.assert_close(gather(mesh, t, points) @ values, mesh @ found)


def test_derivatives_of_any_order() -> None:
    points, t = some_points()
    # of an order with a continuous third derivative
    points = Points(points.first, points.sizes, points.start, points.total, 6)
    values = torch.randn(4, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    mesh = torch.randn(138, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    t = (0.1 + 0.8 * t).requires_grad_()
    for function, first in ((spread, values), (gather, mesh)):
        assert torch.autograd.gradcheck(lambda x, t, f=function: f(x, t, points), (first, t))
        assert torch.autograd.gradgradcheck(lambda x, t, f=function: f(x, t, points), (first, t))
