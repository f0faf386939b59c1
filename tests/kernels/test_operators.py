"""Operators over pairs and the activation: derivatives by finite differences."""

import pytest
import torch
from operators import (
    INTERACTIONS,
    case,
    check_aggregate,
    check_coulomb,
    check_derivatives,
    check_loss_on_forces,
    random,
)
from torch import Tensor

from pyg_nnp import kernels
from pyg_nnp.kernels import Filters


def test_a_third_derivative_is_refused() -> None:
    (weights, rows, table), x, edges = case(6, 3)
    b, x = weights.requires_grad_(), x.requires_grad_()
    value = kernels.aggregate(Filters(b, rows, table), x, edges).pow(3).sum()
    (first,) = torch.autograd.grad(value, b, create_graph=True)
    (second,) = torch.autograd.grad(first.pow(2).sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="two derivatives"):
        torch.autograd.grad(second.pow(2).sum(), b)


@pytest.mark.parametrize("C", [6, 1, 2])
def test_derivatives_over_pairs(C: int) -> None:
    check_aggregate(C)


@pytest.mark.parametrize("sizes", [[30, 30, 30], [90]])
def test_derivatives_of_a_loss_on_forces(sizes: list[int]) -> None:
    check_loss_on_forces(sizes)


def test_an_atom_and_its_image_are_neighbors_of_each_other() -> None:
    """One pair j = i with a filter of 3 is two edges: the atom gets 6 times its own features."""
    edges = kernels.sort_edges(torch.tensor([[1, 1], [1, 1]]), 2, torch.float64)
    filters = Filters(torch.ones(1, 1).double(), torch.tensor([0]), torch.full((1, 4), 3.0).double())
    x = random(2, 4)
    torch.testing.assert_close(kernels.aggregate(filters, x, edges), torch.stack((0 * x[0], 6 * x[1])))


@pytest.mark.parametrize(("flavor", "cutoff_lr"), INTERACTIONS)
def test_derivatives_of_coulomb(flavor: str, cutoff_lr: float | None) -> None:
    check_coulomb(flavor, cutoff_lr)


def test_derivatives_of_softplus() -> None:
    x = 3 * random(4, 5)
    check_derivatives(kernels.shifted_softplus, x)
    x.requires_grad_()

    def value_and_slope(x: Tensor) -> Tensor:
        value = kernels.shifted_softplus(x)
        return value + torch.autograd.grad(value.sum(), x, create_graph=True)[0].square()

    # of both at once, as of a loss on energies and forces
    assert torch.autograd.gradcheck(value_and_slope, x)
    # any number of them
    assert torch.autograd.gradgradcheck(
        lambda x: torch.autograd.grad(kernels.shifted_softplus(x).sum(), x, create_graph=True)[0], x
    )
