"""The shifted softplus."""

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor

from pyg_nnp.kernels import reference
from pyg_nnp.kernels.cpu.compiler import compiled, run, wide_vectors

_LN_2 = np.float32(0.6931471805599453)
_LOG2_E = np.float32(1.4426950408889634)
# ln 2 in two parts, of which the first has few digits, so that its small multiples are exact
_LN_2_HIGH, _LN_2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_LOWEST = np.float32(-87)  # e to a lower power is no normal number, and nothing beside 1


def _shifted_softplus(x: Any, value: Any, slope: Any) -> None:
    one, two = np.float32(1), np.float32(2)
    for i in prange(len(x)):
        wide_vectors()
        v = x[i]
        # e^-|x| = 2^n e^f: written so that NaN stays NaN, and without a call, so that it is vectorised
        y = -abs(v)
        y = _LOWEST if y < _LOWEST else y
        n = np.floor(y * _LOG2_E + np.float32(0.5))
        f = (y - n * _LN_2_HIGH) - n * _LN_2_LOW
        # Taylor's series, right to 1e-8 for |f| < 0.35
        e = np.float32(1 / 5040) * f + np.float32(1 / 720)
        e = e * f + np.float32(1 / 120)
        e = e * f + np.float32(1 / 24)
        e = e * f + np.float32(1 / 6)
        e = e * f + np.float32(1 / 2)
        e = e * f + one
        e = e * f + one
        e *= np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
        # one division for both: 1 / (1 + e), and z below
        d = one / ((one + e) * (two + e))
        positive = d * (two + e)
        slope[i] = e * positive if v < 0 else positive
        # ln(1 + e) = 2 artanh(z), z = e / (2 + e), a series in z^2 < 1/9 with an error below 1e-8
        z = e * d * (one + e)
        zz = z * z
        s = np.float32(2 / 15) * zz + np.float32(2 / 13)
        s = s * zz + np.float32(2 / 11)
        s = s * zz + np.float32(2 / 9)
        s = s * zz + np.float32(2 / 7)
        s = s * zz + np.float32(2 / 5)
        s = s * zz + np.float32(2 / 3)
        s = s * zz + two
        value[i] = (np.float32(0) if v < 0 else v) + (z * s - _LN_2)


# the two parts of ln 2 are to be subtracted in this order
_SHIFTED_SOFTPLUS = compiled(_shifted_softplus, fast_math={"contract"})


def shifted_softplus(x: Tensor) -> tuple[Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.reference.shifted_softplus`."""
    if x.dtype != torch.float32:  # which the series are for; the check of all kernels asks for both
        return reference.shifted_softplus(x)
    value, slope = (torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(2))
    run(_SHIFTED_SOFTPLUS, x.reshape(-1), value.view(-1), slope.view(-1))
    return value, slope
