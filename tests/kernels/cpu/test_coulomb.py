"""The Coulomb potential by numba against plain torch."""

import pytest
import torch
from operators import INTERACTIONS, assert_same, molecules, random

from pyg_nnp.kernels.backend import backend


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("flavor", "cutoff_lr"), INTERACTIONS)
def test_numba_agrees_in_coulomb(dtype: torch.dtype, flavor: str, cutoff_lr: float | None) -> None:
    fast, (q, Ra, start) = backend("cpu", dtype), molecules(dtype)
    g, u = random(len(q), dtype=dtype) + 0.2, random(len(q), 3, dtype=dtype) + 0.1
    how = Ra, start, (flavor, 5.0, 1.0, cutoff_lr or 0.0)
    assert_same(fast, "coulomb_potential", q, *how)
    assert_same(fast, "coulomb_gradient", g, q, *how)
    assert_same(fast, "coulomb_gradient_backward", u, g, q, *how, True)
    assert fast.coulomb_gradient_backward(u, g, q, *how, False)[2].shape == (0, 3)
