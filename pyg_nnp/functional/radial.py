"""Functions of distances: cutoffs, radial basis functions, and the Coulomb interaction, damped at short range."""

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
