"""Linear maps of many rows, by the faster of the two libraries of matrix products that torch has for CPUs.

On processors of AMD that have vectors of 512 bits, MKL, which multiplies matrices in single precision, takes half of
that, and needs twice the time of oneDNN, which torch keeps for other types and for what ``torch.compile`` makes.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from pyg_nnp.kernels.backend import asked_for, register

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
# floating-point operations: with fewer, what oneDNN does before it multiplies takes longer than it saves
_FEWEST = 3e6
_FEWEST_DIFFERENTIABLE = 6e6
# columns: with fewer, to put two parts together takes what is saved
_FEWEST_COLUMNS = 128
# numbers of a weight: products of the sizes of smaller ones are no faster, where the sum is over many rows
_SMALLEST_SUM = 128**2


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return (..., N) x W^T + b of (..., K) x, as :func:`torch.nn.functional.linear` does."""
    operations, is_differentiable = 2 * x.numel() * weight.shape[0], torch.is_grad_enabled()
    if operations < (_FEWEST_DIFFERENTIABLE if is_differentiable else _FEWEST) or not _is_faster(x):
        return functional.linear(x, weight, bias)
    return cast(Tensor, _LINEAR(x, weight, bias)) if is_differentiable else _linear(x, weight, bias)


def linear_adjoint(y: Tensor, weight: Tensor) -> Tensor:
    """Return (..., K) y W of (..., N) y: from derivatives by what :func:`linear` returns those by its x."""
    return y @ weight if 2 * y.numel() * weight.shape[1] < _FEWEST else linear(y, weight.mT)


def sum_of_products(y: Tensor, x: Tensor) -> Tensor:
    """Return (N, K) the sum over rows of y times x, of (..., N) y and (..., K) x: a derivative by a weight."""
    y, x = y.flatten(0, -2), x.flatten(0, -2)  # (R, N), (R, K)
    size = y.shape[1] * x.shape[1]
    is_small = size < _SMALLEST_SUM or 2 * len(x) * size < _FEWEST
    if is_small or torch.is_grad_enabled() or not _is_faster(x):
        return y.mT @ x
    rows = _few_sizes(len(x))
    found = _of_library()(y[:rows].mT, x[:rows].mT, None)
    return found if rows == len(x) else found.addmm_(y[rows:].mT, x[rows:])


def _is_faster(x: Tensor) -> bool:
    """Say whether there is something faster than what torch does."""
    is_on_cpu = x.dtype == torch.float32 and x.device.type == "cpu" and not torch._C._is_tracing()
    if not is_on_cpu or _of_library() is functional.linear:
        return False
    return x.shape[-1] >= _FEWEST_COLUMNS or _few_sizes(len(x)) == len(x)


def _few_sizes(rows: int) -> int:
    """Return a number of rows that oneDNN multiplies, one of sixteen between one power of 2 and the next.

    It compiles a program of a megabyte for each size, so that other sizes are multiplied in two parts.
    """
    step = 1 << max(rows.bit_length() - 5, 0)
    return rows // step * step


@cache
def _of_library() -> Product:
    """Return what multiplies large matrices of single precision here: oneDNN, or what torch does."""
    try:
        from llvmlite import binding  # type: ignore[import-untyped]

        of_onednn = torch.ops.mkldnn._linear_pointwise.default
        name, has = binding.get_host_cpu_name(), binding.get_host_cpu_features()
    except (AttributeError, ImportError):
        return functional.linear

    def by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return cast(Tensor, of_onednn(x, weight, bias, "none", [], ""))

    if not (name.startswith("znver") and has.get("avx512f")):
        return functional.linear
    random = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(shape, generator=random) for shape in ((70, 40), (50, 40), (50,)))
    with torch.inference_mode():
        right = functional.linear(x, weight, bias)
        found = by_onednn(x, weight, bias), by_onednn(x, weight.mT.clone().mT, bias)
    return by_onednn if all(torch.allclose(one, right, rtol=1e-4, atol=1e-4) for one in found) else functional.linear


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    rows = _few_sizes(len(x))
    found = _of_library()(x[:rows], weight, bias)
    return found if rows == len(x) else torch.cat((found, functional.linear(x[rows:], weight, bias)))


def _of_linear(ctx: Any, y: Tensor | None) -> tuple[Tensor | None, ...]:
    if y is None:
        return None, None, None
    x, weight, *_ = ctx.saved_tensors
    by_x, by_weight, *by_bias = asked_for(ctx)
    return (
        linear_adjoint(y, weight) if by_x else None,
        sum_of_products(y, x) if by_weight else None,
        y.flatten(0, -2).sum(dim=0) if any(by_bias) else None,  # (N,)
    )


_LINEAR = register(
    "linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor",
    _linear,
    lambda x, weight, bias: x.new_empty(*x.shape[:-1], len(weight)),
    _of_linear,
)
