"""Products of matrices of many rows, by the faster of two libraries that torch has for CPUs, where no graph is made.

On processors of AMD that have vectors of 512 bits, MKL, which multiplies matrices in single precision, takes half of
that, and needs twice the time of oneDNN, which torch keeps for other types and for what ``torch.compile`` makes.
"""

from collections.abc import Callable
from functools import cache
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
# floating-point operations: with fewer, what oneDNN does before it multiplies takes longer than it saves
_FEWEST = 3e6
# columns: with fewer, to put two parts together takes what is saved
_FEWEST_COLUMNS = 128
# numbers of a weight: products of the sizes of smaller ones are no faster, where the sum is over many rows
_SMALLEST_SUM = 128**2


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return (..., N) x W^T + b of (..., K) x, as :func:`torch.nn.functional.linear` does."""
    if torch.is_grad_enabled() or not is_faster(x, weight.shape[0]):
        return functional.linear(x, weight, bias)
    rows = _few_sizes(len(x))
    found = _of_library()(x[:rows], weight, bias)
    if rows == len(x):
        return found
    return torch.cat((found, functional.linear(x[rows:], weight, bias)))  # (..., N)


def linear_adjoint(y: Tensor, weight: Tensor) -> Tensor:
    """Return (..., K) y W of (..., N) y: from derivatives by what :func:`linear` returns those by its x."""
    is_small = 2 * y.numel() * weight.shape[1] < _FEWEST
    return y @ weight if is_small else linear(y, weight.mT)  # (..., K)


def sum_of_products(y: Tensor, x: Tensor) -> Tensor:
    """Return (N, K) the sum over rows of y times x, of (..., N) y and (..., K) x: a derivative by a weight."""
    y, x = y.flatten(0, -2), x.flatten(0, -2)  # (R, N), (R, K)
    is_small = y.shape[1] * x.shape[1] < _SMALLEST_SUM
    if is_small or torch.is_grad_enabled() or not is_faster(x, y.shape[1]):
        return y.mT @ x  # (N, K)
    rows = _few_sizes(len(x))
    found = _of_library()(y[:rows].mT, x[:rows].mT, None)  # (N, K)
    return found if rows == len(x) else found.addmm_(y[rows:].mT, x[rows:])


def is_faster(x: Tensor, columns: int, fewest: float = _FEWEST) -> bool:
    """Say whether there is something faster than what torch does, for x and a weight, and so many columns of it."""
    if 2 * x.numel() * columns < fewest or x.dtype != torch.float32 or x.device.type != "cpu":
        return False
    if torch._C._is_tracing() or _of_library() is functional.linear:
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
