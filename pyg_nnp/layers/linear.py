"""Linear layers with weights from a generator of their own, and no bias at first."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyg_nnp.kernels import linear_operator

# of what silu makes of normally distributed numbers, 1 / its root mean square
AFTER_SILU = 1.679


class Linear(nn.Linear):
    """A linear layer whose products are by the fastest library: :func:`pyg_nnp.kernels.linear_operator.linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """Return (..., N) from (..., K)."""
        return linear_operator.linear(input, self.weight, self.bias)


class ReadoutLinear(Linear):
    """A linear layer of a readout, in evaluation in double precision, whatever the type of its weights.

    Such products are few, but forces in single precision lose as much to their rounding as to that of all others.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return (..., N) from (..., K), in evaluation float64."""
        if self.training:
            return super().forward(input)
        bias = None if self.bias is None else self.bias.double()
        return functional.linear(input.double(), self.weight.double(), bias)


def linear(
    in_features: int, out_features: int, bias: bool, generator: torch.Generator | None, kind: type[nn.Linear] = Linear
) -> nn.Linear:
    """Return a linear layer with Xavier's uniform weights."""
    layer = _without_weights(in_features, out_features, bias, kind)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    return layer


def normal_linear(
    in_features: int, out_features: int, bias: bool, generator: torch.Generator | None, gain: float = 1.0
) -> nn.Linear:
    """Return a linear layer whose weights are normally distributed, with a variance of gain² / in_features."""
    layer = _without_weights(in_features, out_features, bias, Linear)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(in_features), generator=generator)
    return layer


def _without_weights(in_features: int, out_features: int, bias: bool, kind: type[nn.Linear]) -> nn.Linear:
    # made without values first: PyTorch's own initialisation would draw from the global generator
    layer = kind(in_features, out_features, bias=bias, device="meta").to_empty(device=torch.get_default_device())
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
