"""The sum over images on a mesh against one over wave vectors, written out."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pyg_nnp.functional.ewald import mesh_potential, screening

CELLS = [
    np.diag([6.0, 7.0, 8.0]),
    np.array([[2.4, 0, 0], [-1.1, 2.2, 0.1], [0.4, 0.9, -3.1]]),
    np.array([[12.0, 0, 0], [9.0, 3.0, 0], [1.0, 1.0, 9.0]]),
]


def by_wave_vectors(q: NDArray, Ra: NDArray, h: NDArray, alpha: float) -> NDArray:
    farthest = 15 * alpha
    n = [int(np.ceil(np.linalg.norm(row) * farthest / (2 * np.pi))) for row in h]
    m = np.array(np.meshgrid(*[np.arange(-k, k + 1) for k in n])).reshape(3, -1).T
    k = 2 * np.pi * m[m.any(axis=1)] @ np.linalg.inv(h).T
    squared, volume = (k**2).sum(axis=1), abs(np.linalg.det(h))
    S = np.exp(-1j * k @ Ra.T) @ q
    V = (4 * np.pi / volume * np.exp(-squared / (4 * alpha**2)) / squared * S) @ np.exp(1j * k @ Ra.T)
    return V.real - 2 * alpha / np.sqrt(np.pi) * q - np.pi / (alpha**2 * volume) * q.sum()


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 3e-6)])
@pytest.mark.parametrize("cutoff", [4.0, 6.0])
def test_potential_is_the_sum_over_wave_vectors(cutoff: float, dtype: torch.dtype, error: float) -> None:
    rng = np.random.default_rng(0)
    q, Ra, alpha = rng.normal(size=27), rng.normal(scale=8.0, size=(27, 3)), screening(cutoff, dtype)
    batch = torch.arange(3).repeat_interleave(9)
    given = torch.tensor(q).to(dtype), torch.tensor(Ra), torch.tensor(np.stack(CELLS)), batch
    found = mesh_potential(*given, alpha)
    assert found.dtype == dtype
    for number, h in enumerate(CELLS):
        part = slice(9 * number, 9 * number + 9)
        expected = by_wave_vectors(q[part], Ra[part], h, alpha)
        assert abs(found[part].double().numpy() - expected).max() < error * abs(expected).max()


def test_derivatives_by_charges_positions_and_cells() -> None:
    rng, batch = np.random.default_rng(1), torch.tensor([0, 0, 1, 1])
    alpha = screening(9.0, torch.float64)

    def potential(q: torch.Tensor, Ra: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        return mesh_potential(q, Ra, cell, batch, alpha)

    arrays = rng.normal(size=4), 2 * rng.normal(size=(4, 3)), np.stack([CELLS[1], 1.2 * CELLS[1][::-1]])
    given = [torch.tensor(array).requires_grad_() for array in arrays]
    assert torch.autograd.gradcheck(potential, given)
    assert torch.autograd.gradgradcheck(potential, given, atol=1e-4)
