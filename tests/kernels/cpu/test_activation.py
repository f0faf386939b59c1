"""The shifted softplus by numba against plain torch."""

import pytest
import torch

from pyg_nnp.kernels import reference
from pyg_nnp.kernels.backend import backend


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numba_agrees_in_softplus(dtype: torch.dtype) -> None:
    x = torch.cat((torch.linspace(-130, 130, 10007), torch.linspace(-1, 1, 10001), torch.tensor([0.0, -1e30, 1e30])))
    value, slope = backend("cpu", dtype).shifted_softplus(x.to(dtype)[None])
    true_value, true_slope = reference.shifted_softplus(x.to(dtype).double()[None])
    unit = torch.finfo(dtype).eps
    assert bool(((value - true_value).abs() <= 2 * unit * (1 + true_value.abs())).all())
    # small ones are small with a relative error: they carry the gradient where the function is flat
    assert bool(((slope - true_slope).abs() <= (1e-37 + 4 * unit * true_slope)).all())
