"""Uniform quintic B-splines: smooth interpolation of functions of one number."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

FloatArray = npt.NDArray[np.float64]

DEGREE = 5
# rows of coefficients that are made together, from as many values and those of the margin
BLOCK = 32
# values on either side that a coefficient is made of: at every node, and at every second one
_MARGINS = {1: 6, 2: 32}
# 120 times what each coefficient is multiplied with, as a polynomial in the place within the interval
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
        # a coefficient is part of its difference to that before, and of all differences after it
        matrix = np.cumsum(_WEIGHTS[::-1], axis=0)[::-1] / 120
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
    r"""Return what a spline of coefficients T on [0, cutoff] is evaluated with.

    .. math:: f(r_p) = b_{p0}\, T_{m_p} + \sum_{c=1}^5 b_{pc}\, (T_{m_p + c} - T_{m_p + c - 1})

    Slopes are sums of differences, in which no digits are lost; :math:`b_{p0}` is 1, and 0 for derivatives.
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


def spline_nodes(cutoff: float, num_rows: int, device: torch.device, dtype: torch.dtype, step: int = 1) -> Tensor:
    """Return the places whose values :func:`spline_coefficients` takes; some are outside of [0, cutoff].

    ``cutoff`` is the end of the last of R - 5 intervals. R, ``num_rows``, is a multiple of 32.

    Returns:
        (R + 32,), or (R / 2 + 32,), every second node, where ``step`` is 2.
    """
    first = -(_MARGINS[step] + DEGREE // 2)
    places = first + step * torch.arange(num_rows // step + BLOCK, dtype=torch.float64, device=device)
    return (places * (cutoff / (num_rows - DEGREE))).to(dtype)


@cache
def _prefilter(step: int, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """Return matrices of 32 rows, from values of a block of nodes, of the next block, and so on, to coefficients."""
    stencils = [_inverse()] if step == 1 else [_inverse_of_half(0), _inverse_of_half(1)]
    matrix = np.zeros((BLOCK, BLOCK // step + 2 * _MARGINS[step] // step))
    for row in range(BLOCK):
        first, stencil = -(-row // step), stencils[row % step]
        matrix[row, first : first + len(stencil)] = stencil
    with torch.inference_mode(False):
        whole = torch.tensor(matrix, dtype=dtype, device=device)
        return [part.contiguous() for part in torch.split(whole, BLOCK // step, dim=1)]  # (32, 32 / step) and fewer


def _inverse() -> FloatArray:
    """Return (13,), what a coefficient is made of where each node has a value.

    Splines of coefficients c have the values (1 + d/4 + d²/120) c at the nodes, with d the second difference; the
    inverse is a power series in d, whose terms beyond the sixth are smaller than the error of the spline.
    """
    series, margin = [1.0, -1 / 4], _MARGINS[1]
    for _ in range(2, margin + 1):
        series.append(-series[-1] / 4 - series[-2] / 120)
    stencil, term = np.zeros(2 * margin + 1), np.ones(1)
    for power, factor in enumerate(series):
        stencil[margin - power : margin + power + 1] += factor * term
        term = np.convolve(term, [1, -2, 1])
    return stencil


def _inverse_of_half(row: int) -> FloatArray:
    r"""Return (33,) or (32,), what a coefficient is made of where every second node has a value.

    To waves :math:`e^{i \theta n / 2}` over the nodes n its response is to be :math:`1 / B`, with
    :math:`B = (66 + 52 \cos(\theta / 2) + 2 \cos \theta) / 120` that of the spline: exactly for constants, else by
    least squares over :math:`\theta \leq 0.8 \pi` with the weights :math:`1 / ((\theta / 4 \pi)^6 + 10^{-12})`, for
    the spline itself makes errors of that order.

    Args:
        row: 0 for the coefficient of a node that has a value, 1 for the one in between.
    """
    theta = np.linspace(0, 0.8 * np.pi, 1001)
    places = np.arange(_MARGINS[2] // 2 + 1 - row) + row / 2  # (17,) or (16,)
    waves = np.cos(np.outer(theta, places)) * np.where(places > 0, 2, 1)  # (1001, 17) or (1001, 16), of both sides
    response = 120 / (66 + 52 * np.cos(theta / 2) + 2 * np.cos(theta))
    weights = 1 / ((theta / (4 * np.pi)) ** 6 + 1e-12)
    weights[0] *= 100  # constants
    side: FloatArray = np.linalg.lstsq(weights[:, None] * waves, weights * response)[0]  # (17,) or (16,)
    return np.concatenate((side[::-1], side[1 - row :]))  # (33,) or (32,)


def spline_coefficients(values: Tensor, step: int = 1) -> Tensor:
    r"""Return the coefficients of the quintic spline through values at :func:`spline_nodes`.

    The error of the spline is of the sixth order in the distance of the nodes, that of its slope of the fifth.

    With ``step`` 2, for smooth functions, they are sums of values at every second node.

    Source: Unser, Aldroubi and Eden, IEEE Trans. Signal Process. 1993, 41, 821, for the inverse of the sampled spline.

    Returns:
        (R, F), from (R + 32, F), or (R / 2 + 32, F) where ``step`` is 2.
    """
    blocks = values.view(-1, BLOCK // step, values.shape[1])  # (R / 32 + 1, 32, F) or (R / 32 + 2, 16, F)
    matrices = _prefilter(step, values.dtype, values.device)
    count = len(blocks) - len(matrices) + 1
    coefficients = torch.matmul(matrices[0], blocks[:count])  # (R / 32, 32, F)
    for number, matrix in enumerate(matrices[1:], 1):
        some = blocks[number : number + count, : matrix.shape[1]]
        coefficients = torch.baddbmm(coefficients, matrix.expand(count, -1, -1), some)  # (R / 32, 32, F)
    return coefficients.view(-1, values.shape[1])  # (R, F)


def derivative(function: Callable[[Tensor], Tensor], r: Tensor) -> Tensor:
    """Return (P, F) derivatives of functions of one number, each by its own argument."""
    with torch.enable_grad():
        r = r.clone().requires_grad_()
        values = function(r)  # (P, F)
        # the transposed product with the Jacobian, transposed again
        weights = torch.zeros_like(values, requires_grad=True)
        (product,) = torch.autograd.grad((values * weights).sum(), r, create_graph=True)
        (derivatives,) = torch.autograd.grad(product.sum(), weights)
    return derivatives
