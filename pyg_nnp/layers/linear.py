"""Linear layers with weights from a generator of their own, and no bias at first."""

import math

import torch
from torch import Tensor, nn

from pyg_nnp.kernels import linear_operator

# of what silu makes of normally distributed numbers, 1 / its root mean square
AFTER_SILU = 1.679


class Linear(nn.Linear):
    """A linear layer whose products are by the fastest library: :func:`pyg_nnp.kernels.linear_operator.linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """Return (..., N) from (..., K)."""
        return linear_operator.linear(input, self.weight, self.bias)


def linear(in_features: int, out_features: int, bias: bool, generator: torch.Generator | None) -> Linear:
    """Return a linear layer with Xavier's uniform weights."""
    layer = _without_weights(in_features, out_features, bias)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    return layer


def normal_linear(
    in_features: int, out_features: int, bias: bool, generator: torch.Generator | None, gain: float = 1.0
) -> Linear:
    """Return a linear layer whose weights are normally distributed, with a variance of gain² / in_features."""
    layer = _without_weights(in_features, out_features, bias)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(in_features), generator=generator)
    return layer


def _without_weights(in_features: int, out_features: int, bias: bool) -> Linear:
    # made without values first: PyTorch's own initialisation would draw from the global generator
    layer = Linear(in_features, out_features, bias=bias, device="meta").to_empty(device=torch.get_default_device())
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
