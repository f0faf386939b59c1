"""Radial functions of the distances."""

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from pyg_nnp.functional.radial import bessel_basis, gaussian_basis
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


class BesselBasis(RadialBasis):
    r"""Expand distances in spherical Bessel functions of order 0.

    .. math:: e_n(r) = \frac{\sqrt2 \sin(n \pi x)}{n \pi x}, \quad x = \frac{r}{r_{sr}}, \quad n = 1 \dots K

    Few of them say as much as many Gaussians; 20 are enough for a cutoff of 5 Å.

    Source: DimeNet, Gasteiger, Groß and Günnemann, ICLR 2020, arXiv 2003.03123.

    Args:
        num_rbf: number K of functions.
        cutoff_sr: where all of them are 0 [length].

    Reads:
        Dij_sr: (P_sr,) distances of the pairs within the cutoff [length].

    Writes:
        rbf: (P_sr, K) values of the functions.
    """

    wave_numbers: Tensor

    def __init__(self, num_rbf: PositiveInt, cutoff_sr: PositiveFloat) -> None:
        super().__init__()
        self.cutoff_sr = cutoff_sr
        self.register_buffer("wave_numbers", torch.arange(1, num_rbf + 1, dtype=torch.float64), persistent=False)

    def expand(self, r: Tensor) -> Tensor:
        """Return the Bessel functions."""
        return bessel_basis(r, self.wave_numbers, self.cutoff_sr)
