"""Radial basis functions."""

import torch
from torch import Tensor


def gaussian_basis(r: Tensor, centers: Tensor, width: float | Tensor) -> Tensor:
    r"""Expand distances in Gaussians :math:`\exp(-(r - \mu_k)^2 / 2\sigma^2)`.

    Source: SchNet, Schütt et al., NeurIPS 2017, arXiv 1706.08566

    Args:
        r: (P,) distances.
        centers: (K,) positions :math:`\mu_k` of the Gaussians, in the unit of ``r``.
        width: their width :math:`\sigma`.

    Returns:
        (P, K)
    """
    return torch.exp(-0.5 * ((r[:, None] - centers) / width) ** 2)
