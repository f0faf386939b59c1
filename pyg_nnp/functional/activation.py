"""Activation functions."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class _ShiftedSoftplus(torch.autograd.Function):
    """Its second derivative in four passes over memory; PyTorch's own takes twice as many."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.softplus(x).sub_(math.log(2.0))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return _Slope.apply(g, *ctx.saved_tensors)  # type: ignore[no-untyped-call, no-any-return]


class _Slope(torch.autograd.Function):
    """g times the slope at x, the logistic function."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(g, x)
        return torch.sigmoid(x).mul_(g)

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor, Tensor]:
        g, x = ctx.saved_tensors
        slope = torch.sigmoid(x)
        of_g = u * slope
        product = of_g * g
        return of_g, torch.addcmul(product, product, slope, value=-1)


def shifted_softplus(x: Tensor) -> Tensor:
    r"""Return :math:`\ln(\tfrac12 e^x + \tfrac12)`, which is 0 at 0.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566
    """
    return _ShiftedSoftplus.apply(x)  # type: ignore[no-untyped-call, no-any-return]
