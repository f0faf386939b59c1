"""The sum over images on a mesh against one over wave vectors, written out."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erfc

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
    given = torch.tensor(q).to(dtype), torch.tensor(Ra), torch.tensor(np.stack(CELLS)), torch.ones(3, 3), batch
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
        return mesh_potential(q, Ra, cell, torch.ones(2, 3), batch, alpha)

    arrays = rng.normal(size=4), 2 * rng.normal(size=(4, 3)), np.stack([CELLS[1], 1.2 * CELLS[1][::-1]])
    given = [torch.tensor(array).requires_grad_() for array in arrays]
    assert torch.autograd.gradcheck(potential, given)
    assert torch.autograd.gradgradcheck(potential, given, atol=1e-4)


def slab(axis: int) -> tuple[NDArray, NDArray, NDArray, list[int]]:
    """Return charges that are neutral, positions, and lattice vectors, the one that is not periodic at some place."""
    rng = np.random.default_rng(2)
    a, b = np.array([3.1, 0.2, 0.4]), np.array([0.9, 3.9, -0.3])
    normal = np.cross(a, b) / np.linalg.norm(np.cross(a, b))
    Ra = rng.uniform(-9, 9, size=(5, 2)) @ [a, b] + rng.uniform(0, 4, size=(5, 1)) * normal
    h, pbc = np.roll([a, b, [0, 0, 0]], axis - 2, axis=0), np.roll([1, 1, 0], axis - 2).tolist()
    q = rng.normal(size=5)
    return q - q.mean(), Ra, h, pbc


def erf_over_r(q: NDArray, Ra: NDArray, h: NDArray, alpha: float) -> NDArray:
    """Return the potential of all charges of a slab and their images, less erfc(alpha r) / r of each pair.

    Source: Parry, Surf. Sci. 1975, 49, 433.
    """
    a, b = (row for row in h if row.any())
    normal = np.cross(a, b)
    area = np.linalg.norm(normal)
    z = (Ra - Ra[0]) @ normal / area
    dz = z[:, None] - z[None]  # (A, A)
    flat = -2 * np.pi / area * (dz * (1 - erfc(alpha * dz)) + np.exp(-((alpha * dz) ** 2)) / (alpha * np.sqrt(np.pi)))
    inverse = 2 * np.pi * np.linalg.inv(np.stack((a, b, normal / area))).T[:2]
    V = flat @ q
    for m in product(range(-14, 15), repeat=2):
        if m == (0, 0):
            continue
        g = m @ inverse
        k = np.linalg.norm(g)
        wave = np.cos((Ra[:, None] - Ra[None]) @ g)
        decay = sum(np.exp(s * k * dz) * erfc(k / (2 * alpha) + s * alpha * dz) for s in (1, -1))
        V += np.pi / (area * k) * (wave * decay) @ q
    return V - 2 * alpha / np.sqrt(np.pi) * q


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-11), (torch.float32, 3e-6)])
@pytest.mark.parametrize("is_charged", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slabs_have_no_images(axis: int, is_charged: bool, dtype: torch.dtype, error: float) -> None:
    q, Ra, h, pbc = slab(axis)
    q, alpha = q + 0.3 * is_charged, screening(5.0, dtype)
    given = torch.tensor(np.tile(q, 2)).to(dtype), torch.tensor(np.tile(Ra, (2, 1)))
    cells = torch.tensor(np.stack((CELLS[0], h))), torch.tensor([[1, 1, 1], pbc])
    found = mesh_potential(*given, *cells, torch.arange(2).repeat_interleave(5), alpha)[5:].double().numpy()
    expected = erf_over_r(q, Ra, h, alpha)
    assert abs(found - expected).max() < error * abs(expected).max()


def test_energy_of_a_slab_is_the_sum_over_its_images() -> None:
    """Over whole neutral cells, with weights that fall off smoothly: what is missing goes with their inverse width."""
    q, Ra, h, pbc = slab(2)
    places = Ra @ np.linalg.pinv(h)
    Ra = Ra - np.floor(places) @ h
    alpha = screening(12.0, torch.float64)
    given = torch.tensor(q), torch.tensor(Ra), torch.tensor(h)[None], torch.tensor([pbc]), torch.zeros(5).long()
    n = np.arange(-320, 321)
    T = n[:, None, None] * h[0] + n[:, None] * h[1]  # (N, N, 3)
    of_cells = np.zeros(T.shape[:2])  # (N, N), with that in the middle
    of_pairs = 0.0
    for i, j in product(range(5), repeat=2):
        r = np.linalg.norm(Ra[i] - Ra[j] + T, axis=-1)
        r[r == 0] = np.inf
        of_pairs += q[i] * q[j] * (erfc(alpha * r) / r).sum() / 2
        of_cells += q[i] * q[j] / r / 2
    distance = np.linalg.norm(T, axis=-1)
    sums = [(of_cells * np.exp(-((distance / width) ** 2))).sum() for width in (30, 60, 120, 240)]
    for power in (1, 2, 3):  # of the inverse width
        sums = [(2**power * second - first) / (2**power - 1) for first, second in pairwise(sums)]
    found = of_pairs + 0.5 * float((torch.tensor(q) * mesh_potential(*given, alpha)).sum())
    assert found == pytest.approx(sums[0], rel=1e-6)


def test_derivatives_of_slabs() -> None:
    q, Ra, h, pbc = slab(1)
    batch, alpha = torch.zeros(5).long(), screening(9.0, torch.float64)
    given = [torch.tensor(array).requires_grad_() for array in (q, Ra, h[None])]

    def potential(q: torch.Tensor, Ra: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        return mesh_potential(q, Ra, cell, torch.tensor([pbc]), batch, alpha)[:2]

    assert torch.autograd.gradcheck(potential, given)
    assert torch.autograd.gradgradcheck(potential, given, atol=1e-4)
