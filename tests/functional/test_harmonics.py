"""Harmonics and matrices in components."""

import pytest
import torch

from pyg_nnp.functional.harmonics import components, harmonics, matrices


@pytest.mark.parametrize("degree", [1, 2])
def test_harmonics_are_orthonormal_and_have_a_parity(degree: int) -> None:
    """The mean of products over all directions, by the 26 directions of a cube's faces, edges and corners (Lebedev)."""
    directions = torch.tensor(
        [[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) != (0, 0, 0)],
        dtype=torch.float64,
    )
    lengths = directions.norm(dim=1)
    weight = torch.tensor(
        [{1: 1 / 21, 2: 4 / 105, 3: 27 / 840}[round(float(n**2))] for n in lengths], dtype=torch.float64
    )
    y = harmonics(directions, lengths, degree)
    size = y.shape[1]
    torch.testing.assert_close((weight[:, None] * y).T @ y, torch.eye(size, dtype=torch.float64))
    reversed_ = harmonics(-directions, lengths, degree)
    sign = torch.tensor([-1.0] * 3 + [1.0] * 5, dtype=torch.float64)[:size]
    torch.testing.assert_close(reversed_, sign * y)


def test_components_are_those_of_matrices() -> None:
    t = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    T = matrices(t)
    torch.testing.assert_close(T, T.transpose(1, 2))
    assert float(torch.einsum("axxf->af", T).abs().max()) < 1e-14
    torch.testing.assert_close((T**2).sum((1, 2)), (t**2).sum(1))
    torch.testing.assert_close(components(T), t)
