"""Coulomb interaction of atomic charges, damped at short range."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from pyg_nnp.functional.cutoff import polynomial_cutoff, smooth_switch

Flavor = Literal["PhysNet", "SpookyNet"]


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
