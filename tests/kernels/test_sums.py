"""Sums that have one order: on the CPU PyTorch's, elsewhere an operator, which is the derivative of its derivative."""

import pytest
import torch
from torch import Tensor

from pyg_nnp.kernels import of_molecules, reference, sum_over_atoms, sum_over_ends, sum_over_groups, sums

BATCH = torch.tensor([0, 0, 0, 2, 2, 3])
PAIRS = torch.tensor([[1, 2, 2, 4, 5], [0, 0, 1, 3, 5]])


@pytest.fixture(params=["plain", "operators"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the operators, which a GPU has, with plain torch inside."""
    if request.param == "operators":
        monkeypatch.setattr(sums, "_is_plain", lambda values: False)


@pytest.fixture
def values() -> Tensor:
    return torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("columns", [1, 3])
def test_sums_over_atoms_and_rows_of_molecules(values: Tensor, columns: int):
    given = values[:, 0] if columns == 1 else values
    found = sum_over_atoms(given, BATCH, 5)
    rows = [given[molecule == BATCH].sum(dim=0) for molecule in range(5)]
    torch.testing.assert_close(found, torch.stack(rows))
    assert (found[[1, 4]] == 0).all()
    assert torch.equal(of_molecules(found, BATCH), found[BATCH])


@pytest.mark.usefixtures("_way")
def test_sums_over_the_ends_of_pairs(values: Tensor):
    found = sum_over_ends(values[:5], PAIRS, 7)
    expected = torch.zeros(7, 3, dtype=torch.float64)
    for value, j, i in zip(values.detach(), *PAIRS.tolist(), strict=False):
        expected[i] += value
        expected[j] -= value
    torch.testing.assert_close(found, expected)


@pytest.mark.usefixtures("_way")
def test_derivatives_of_both_orders(values: Tensor):
    def function(values: Tensor) -> Tensor:
        molecules = sum_over_atoms(values**2, BATCH, 4)
        return sum_over_ends(of_molecules(molecules, BATCH).sin()[:5] * values[:5], PAIRS, 6).tanh()

    assert torch.autograd.gradcheck(function, values)
    assert torch.autograd.gradgradcheck(function, values)


def test_operators_are_sound(values: Tensor):
    start, order = reference.sort_edges(torch.stack((BATCH, BATCH)), 4)
    for name, rows in {"sum_rows": values, "take_rows": values[:4]}.items():
        checks = ("test_schema", "test_autograd_registration", "test_faketensor")
        operator = getattr(torch.ops.pyg_nnp, name).default
        torch.library.opcheck(operator, (rows, BATCH.clone(), start, order), test_utils=checks)


@pytest.mark.usefixtures("_way")
def test_sums_over_groups_in_any_order(values: Tensor):
    groups = torch.tensor([3, 0, 3, 1, 0, 3])
    found = sum_over_groups(values, groups, 5)
    torch.testing.assert_close(found, torch.stack([values[groups == group].sum(dim=0) for group in range(5)]))
    (gradient,) = torch.autograd.grad((found**2).sum(), values)
    torch.testing.assert_close(gradient, 2 * found.detach()[groups])
