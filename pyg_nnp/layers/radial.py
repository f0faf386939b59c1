"""Radial functions of the distances."""

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from pyg_nnp.functional.radial import gaussian_basis
from pyg_nnp.layers.base import RadialBasis


class GaussianSmearing(RadialBasis):
    r"""Expand distances in equally spaced Gaussians.

    .. math:: e_k(r) = \exp\Big(-\frac{(r - \mu_k)^2}{2 \sigma^2}\Big), \quad
        \mu_k = k \sigma, \quad \sigma = \frac{r_{sr}}{K - 1}

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566

    Args:
        num_rbf: number K of Gaussians.
        cutoff_sr: position of the last one [length].

    Reads:
        Dij_sr: (P_sr,) distances of the pairs within the cutoff [length].

    Writes:
        rbf: (P_sr, K) values of the Gaussians.
    """

    centers: Tensor

    def __init__(self, num_rbf: Annotated[int, Field(ge=2, le=10_000)], cutoff_sr: PositiveFloat) -> None:
        super().__init__()
        self.width = cutoff_sr / (num_rbf - 1)
        self.register_buffer("centers", torch.linspace(0, cutoff_sr, num_rbf, dtype=torch.float64), persistent=False)

    def expand(self, r: Tensor) -> Tensor:
        """Return the Gaussians."""
        return gaussian_basis(r, self.centers, self.width)
