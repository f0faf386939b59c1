"""Uniform quintic B-splines: smooth interpolation of functions of one number."""

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

DEGREE = 5
# rows of coefficients that are made together, from as many values and those of the margin
BLOCK = 32
_MARGIN = 6
# 120 times the weight of each coefficient as a polynomial in the place within the interval
_WEIGHTS = (
    (1, -5, 10, -10, 5, -1),
    (26, -50, 20, 20, -20, 5),
    (66, 0, -60, 0, 30, -10),
    (26, 50, 20, -20, -20, 10),
    (1, 5, 10, 10, 5, -5),
    (0, 0, 0, 0, 0, 1),
)


@cache
def _weight_matrix(order: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (6, 6 - order), powers to weights, of a derivative of the weights."""
    # made outside of inference mode, since it is kept
    with torch.inference_mode(False):
        powers = np.arange(DEGREE + 1)
        matrix = np.array(_WEIGHTS, dtype=float) / 120
        for _ in range(order):
            matrix, powers = (matrix * powers)[:, 1:], powers[:-1]
        return torch.tensor(matrix, dtype=dtype, device=device)  # (6, 6 - order)


def _weights(t: Tensor, order: int) -> Tensor:
    if order > DEGREE:
        return t.new_zeros(len(t), DEGREE + 1)  # (P, 6)
    powers = [torch.ones_like(t)]
    for _ in range(DEGREE - order):  # not cumprod, which is slow on a GPU
        powers.append(powers[-1] * t)
    # in less time than the transposed product
    return (_weight_matrix(order, t.dtype, t.device) @ torch.stack(powers)).T.contiguous()  # (P, 6)


class _Weights(torch.autograd.Function):
    """(P, 6) weights of the coefficients, or a derivative of them, whose derivative is that of the next order."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, order: int) -> Tensor:
        ctx.save_for_backward(t)
        ctx.order = order
        return _weights(t, order)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (t,) = ctx.saved_tensors
        return (g * _Weights.apply(t, ctx.order + 1)).sum(dim=1), None  # type: ignore[no-untyped-call]  # (P,)


def spline_weights(r: Tensor, cutoff: float, num_intervals: int, order: int = 0) -> tuple[Tensor, Tensor]:
    r"""Return what a spline on [0, cutoff] is evaluated with, :math:`f(r_p) = \sum_{c=0}^5 b_{pc}\, T_{m_p + c}`.

    ``order`` is that of the derivative that the spline is evaluated for, at (P,) places.

    Returns:
        (P, 6) the b, differentiable any number of times, and (P,) the m, first of the coefficients.
    """
    density = num_intervals / cutoff
    scaled = r * density
    rows = scaled.detach().floor().clamp(0, num_intervals - 1)
    # TorchScript has its own derivatives, and no others
    function = _weights if torch._C._is_tracing() else _Weights.apply
    weights: Tensor = function(scaled - rows, order)
    return weights * density**order if order else weights, rows.long()


def spline_nodes(cutoff: float, num_rows: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the (R + 32,) places whose values :func:`spline_coefficients` takes; some are outside of [0, cutoff].

    ``cutoff`` is the end of the last of R - 5 intervals. R, ``num_rows``, is a multiple of 32.
    """
    first = -(_MARGIN + DEGREE // 2)
    places = torch.arange(first, first + num_rows + BLOCK, dtype=torch.float64, device=device)
    return (places * (cutoff / (num_rows - DEGREE))).to(dtype)


@cache
def _prefilter(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return (32, 32) and (32, 12), a block of coefficients from its own values and the first of the next block.

    Splines of coefficients c have the values (1 + d/4 + d²/120) c at the nodes, with d the second difference; the
    inverse is a power series in d, whose terms beyond the sixth are smaller than the error of the spline.
    """
    series = [1.0, -1 / 4]
    for _ in range(2, _MARGIN + 1):
        series.append(-series[-1] / 4 - series[-2] / 120)
    stencil, term = np.zeros(2 * _MARGIN + 1), np.ones(1)
    for power, factor in enumerate(series):
        stencil[_MARGIN - power : _MARGIN + power + 1] += factor * term
        term = np.convolve(term, [1, -2, 1])
    matrix = np.zeros((BLOCK, BLOCK + 2 * _MARGIN))
    for row in range(BLOCK):
        matrix[row, row : row + len(stencil)] = stencil
    with torch.inference_mode(False):
        whole = torch.tensor(matrix, dtype=dtype, device=device)
        return whole[:, :BLOCK].contiguous(), whole[:, BLOCK:].contiguous()


def spline_coefficients(values: Tensor) -> Tensor:
    """Return the coefficients of the quintic spline through values at :func:`spline_nodes`.

    The error of the spline is of the sixth order in the distance of the nodes, that of its slope of the fifth.

    Source: Unser, Aldroubi and Eden, IEEE Trans. Signal Process. 1993, 41, 821, for the inverse of the sampled spline.

    Returns:
        (R, F), from (R + 32, F).
    """
    blocks = values.view(-1, BLOCK, values.shape[1])  # (R / 32 + 1, 32, F)
    own, following = _prefilter(values.dtype, values.device)
    count = len(blocks) - 1
    coefficients = torch.baddbmm(
        torch.matmul(own, blocks[:-1]), following.expand(count, -1, -1), blocks[1:, : following.shape[1]]
    )  # (R / 32, 32, F)
    return coefficients.view(-1, values.shape[1])  # (R, F)
