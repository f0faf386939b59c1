"""Functions that fall from 1 to 0 with the distance."""

import math

import torch
from torch import Tensor


def cosine_cutoff(r: Tensor, cutoff: float) -> Tensor:
    r"""Return :math:`\tfrac12 (\cos(\pi r / r_c) + 1)` below the cutoff, 0 beyond.

    Of distances of any shape and a radius in their unit. Source: Behler, J. Chem. Phys. 2011, 134, 074106.
    """
    return torch.where(r < cutoff, unclamped_cosine(r, cutoff), 0)


def unclamped_cosine(r: Tensor, cutoff: float) -> Tensor:
    r"""Return :math:`\tfrac12 (\cos(\pi r / r_c) + 1)` everywhere: as smooth beyond the cutoff as before it."""
    return 0.5 * (torch.cos(r * (math.pi / cutoff)) + 1)


def polynomial_cutoff(r: Tensor, cutoff: float) -> Tensor:
    r"""Return :math:`1 - 6x^5 + 15x^4 - 10x^3` with :math:`x = r / r_c` below the cutoff, 0 beyond.

    Of distances of any shape and a radius in their unit.

    Source: PhysNet, Unke and Meuwly, J. Chem. Theory Comput. 2019, 15, 3678.
    """
    return unclamped_polynomial(r.clamp(max=cutoff), cutoff)


def unclamped_polynomial(r: Tensor, cutoff: float) -> Tensor:
    r"""Return :math:`1 - 6x^5 + 15x^4 - 10x^3` everywhere: as smooth beyond the cutoff as before it."""
    x = r / cutoff
    return 1 + x**3 * (x * (15 - 6 * x) - 10)


def smooth_switch(r: Tensor, on: float, off: float) -> Tensor:
    r"""Return an infinitely smooth switch: 1 up to ``on``, 0 from ``off``.

    .. math:: f(r) = \frac{\sigma(1 - x)}{\sigma(1 - x) + \sigma(x)}, \quad
        x = \frac{r - r_\mathrm{on}}{r_\mathrm{off} - r_\mathrm{on}}, \quad
        \sigma(x) = e^{-1/x} \text{ for } x > 0, \text{ else } 0

    Of distances of any shape. Source: SpookyNet, Unke et al., Nat. Commun. 2021, 12, 7273.
    """
    x = (r - on) / (off - on)
    # σ(1-x) / (σ(1-x) + σ(x)) is the logistic function of 1/x - 1/(1-x); the inner x is kept off the poles so that
    # no derivative of any order becomes 0 · ∞
    inside = (x > 0) & (x < 1)
    safe = torch.where(inside, x, 0.5)
    return torch.where(inside, torch.sigmoid(1 / safe - 1 / (1 - safe)), (x <= 0).to(r.dtype))
