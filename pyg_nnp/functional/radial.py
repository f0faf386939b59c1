"""Functions of distances: cutoffs, radial basis functions, and the Coulomb interaction, damped at short range."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import threshold

Flavor = Literal["PhysNet", "SpookyNet"]

# e^-50, far below what rounding leaves of sums of Gaussians in double precision
_NOTHING = 2e-22


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
    x = (r / cutoff).clamp(max=1)
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


_SHORT_RANGE: dict[str, Callable[[Tensor, float], Tensor]] = {
    "PhysNet": lambda r, cutoff: polynomial_cutoff(2 * r, cutoff),
    "SpookyNet": lambda r, cutoff: smooth_switch(r, 0.25 * cutoff, 0.75 * cutoff),
}


def damped_coulomb(r: Tensor, cutoff_sr: float, shielding: float, flavor: Flavor = "PhysNet") -> Tensor:
    r"""Return the interaction of two unit charges, shielded at short range and 1/r at long range.

    .. math:: \chi(r) = \frac{f(r)}{\sqrt{r^2 + s^2}} + \frac{1 - f(r)}{r}

    PhysNet: :math:`f(r) = \phi(2r)` with the polynomial cutoff :math:`\phi` at ``cutoff_sr``
    (Unke and Meuwly, J. Chem. Theory Comput. 2019, 15, 3678).
    SpookyNet: f is the smooth switch from 1/4 to 3/4 of ``cutoff_sr``
    (Unke et al., Nat. Commun. 2021, 12, 7273).

    Args:
        r: (P,) distances; the interaction is (P,), in their inverse unit.
        cutoff_sr: cutoff of the short-range interaction, in the unit of ``r``.
        shielding: the length s, 1 Å in both papers, in the unit of ``r``.
        flavor: the switching function.
    """
    f = _SHORT_RANGE[flavor](r, cutoff_sr)
    return f / (r.square() + shielding**2).sqrt() + (1 - f) / r


def shifted_force(r: Tensor, chi: Tensor, cutoff_lr: float) -> Tensor:
    r"""Let :math:`\chi(r)` and its slope go to zero at a cutoff where it is 1/r already.

    .. math:: \chi(r) - \frac{1}{r_c} + \frac{r - r_c}{r_c^2} \text{ for } r < r_c, \text{ else } 0

    Source: the shifted force of Fennell and Gezelter, J. Chem. Phys. 2006, 124, 234104, without damping.

    Args:
        r: (P,) distances.
        chi: (P,) interaction of unit charges at ``r``.
        cutoff_lr: cutoff radius, in the unit of ``r``.
    """
    return (chi + r / cutoff_lr**2 - 2 / cutoff_lr).where(r < cutoff_lr, 0)
