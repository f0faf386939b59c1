"""The shifted softplus: derivatives by finite differences."""

import torch
from operators import check_derivatives, random
from torch import Tensor

from pyg_nnp import kernels


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
