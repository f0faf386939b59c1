"""Functions of distances: cutoffs, radial basis functions, and the Coulomb interaction, damped at short range."""

import torch
from torch import Tensor
from torch.nn.functional import threshold

# e^-50, far below what rounding leaves of sums of Gaussians in double precision
_NOTHING = 2e-22


def gaussian_basis(r: Tensor, centers: Tensor, width: float | Tensor) -> Tensor:
    r"""Expand distances in Gaussians :math:`\exp(-(r - \mu_k)^2 / 2\sigma^2)`.

    Values below 2e-22 are 0. Products of numbers smaller than that end in subnormal ones, which some processors take a
    hundred times longer for.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566

    Args:
        r: (P,) distances.
        centers: (K,) positions :math:`\mu_k` of the Gaussians, in the unit of ``r``; the values are (P, K).
        width: their width :math:`\sigma`.
    """
    exponents = -0.5 * ((r[:, None] - centers) / width) ** 2  # (P, K)
    return threshold(exponents.clamp(min=-50).exp(), _NOTHING, 0.0)


def bessel_basis(r: Tensor, wave_numbers: Tensor, cutoff: float) -> Tensor:
    r"""Expand distances in spherical Bessel functions of order 0, :math:`\sqrt2\, j_0(n \pi x)` with x = r / r_c.

    With :math:`j_0(z) = \sin(z) / z` they are smooth at 0, and 0 at the cutoff. Normalised in space they would be
    n / r_c times as large: where atoms meet, large and steep. These are bounded, and filters of them smoother.

    Source: DimeNet, Gasteiger, Groß and Günnemann, ICLR 2020, arXiv 2003.03123, eq. 7, there normalised.

    Args:
        r: (P,) distances.
        wave_numbers: (K,) the n; the values are (P, K).
        cutoff: the radius r_c, in the unit of ``r``.
    """
    scaled = wave_numbers * (r[:, None] / cutoff)  # (P, K)
    return 2**0.5 * torch.sinc(scaled)
