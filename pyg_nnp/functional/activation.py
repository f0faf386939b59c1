"""Activation functions."""

import math

import torch.nn.functional as F
from torch import Tensor


def shifted_softplus(x: Tensor) -> Tensor:
    r"""Return :math:`\ln(\tfrac12 e^x + \tfrac12)`, which is 0 at 0.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566
    """
    return F.softplus(x) - math.log(2.0)
