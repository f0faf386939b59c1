"""Linear maps, with any number of derivatives; those of many rows by the faster library.

See :mod:`pyg_nnp.kernels.matrix_products`.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from pyg_nnp.kernels import matrix_products
from pyg_nnp.kernels.backend import asked_for, register

# floating-point operations: with fewer, a node of the graph made in Python takes longer than it saves
_FEWEST = 6e6


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return (..., N) x W^T + b of (..., K) x, as :func:`torch.nn.functional.linear` does."""
    if not torch.is_grad_enabled():
        return matrix_products.linear(x, weight, bias)
    if not matrix_products.is_faster(x, weight.shape[0], _FEWEST):
        return functional.linear(x, weight, bias)
    return cast(Tensor, _LINEAR(x, weight, bias))


def _of_linear(ctx: Any, y: Tensor | None) -> tuple[Tensor | None, ...]:
    if y is None:
        return None, None, None
    x, weight, *_ = ctx.saved_tensors
    by_x, by_weight, *by_bias = asked_for(ctx)
    return (
        linear(y, weight.mT) if by_x else None,
        matrix_products.sum_of_products(y, x) if by_weight else None,
        y.flatten(0, -2).sum(dim=0) if any(by_bias) else None,  # (N,)
    )


_LINEAR = register(
    "linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor",
    matrix_products.linear,
    lambda x, weight, bias: x.new_empty(*x.shape[:-1], len(weight)),  # (..., N)
    _of_linear,
)
