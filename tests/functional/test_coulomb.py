"""The shifted force."""

import pytest
import torch

from pyg_nnp.functional.coulomb import damped_coulomb, shifted_force


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
