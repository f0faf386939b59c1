"""Functions compiled by Triton, and started on the device that their tensors are on."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import triton
from torch import Tensor

# whether a number of pairs is 1 or a multiple of 16 is no reason to compile again
_NUMBERS = ["num_pairs", "num_features", "num_parts", "num_first"]
jit: Callable[[Callable[..., Any]], Any] = partial(triton.jit, do_not_specialize=_NUMBERS)


def run(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Start a kernel on the device of the first tensor, which need not be the current one."""
    contiguous = [a.detach().contiguous() if isinstance(a, Tensor) else a for a in arguments]
    with torch.cuda.device_of(arguments[0]):  # type: ignore[no-untyped-call]
        # said, since versions of Triton differ in whether products and sums are fused by default
        kernel[grid](*contiguous, enable_fp_fusion=True, **constants)
