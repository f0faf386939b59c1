"""The activation function of SchNet."""

from typing import Any, cast

import torch
from torch import Tensor

from pyg_nnp.kernels import reference
from pyg_nnp.kernels.backend import fast, register


def _shifted_softplus(x: Tensor) -> tuple[Tensor, Tensor]:
    # kernels are for single precision; to ask for them compiles all kernels for double, which tables alone do not need
    if x.dtype != torch.float32:
        return reference.shifted_softplus(x)
    return cast(tuple[Tensor, Tensor], fast(x).shifted_softplus(x))


def _backward(ctx: Any, g: Tensor | None, h: Tensor | None) -> Tensor | None:
    # in operations of torch, so that it can be differentiated again; the slope is a sigmoid
    (slope,) = ctx.saved_tensors
    if h is None:
        return None if g is None else g * slope
    of_slope = torch.ops.aten.sigmoid_backward(h, slope)
    return of_slope if g is None else torch.addcmul(of_slope, g, slope)


_SHIFTED_SOFTPLUS = register(
    "shifted_softplus(Tensor x) -> (Tensor, Tensor)",
    _shifted_softplus,
    lambda x: (torch.empty_like(x), torch.empty_like(x)),
    _backward,
    keep=lambda inputs, outputs: outputs[1:],
)


def shifted_softplus(x: Tensor) -> Tensor:
    r"""Return :math:`\ln(\tfrac12 e^x + \tfrac12)`, which is 0 at 0.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566
    """
    return cast(Tensor, _SHIFTED_SOFTPLUS(x)[0])
