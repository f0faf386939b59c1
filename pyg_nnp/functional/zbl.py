"""Screened repulsion of nuclei."""

import torch
from torch import Tensor

# Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Solids, Pergamon, New York 1985
_COEFFICIENTS = (0.18175, 0.50986, 0.28022, 0.02817)
_EXPONENTS = (3.19980, 0.94229, 0.40290, 0.20162)
_SCREENING = 0.88534  # Bohr
_POWER = 0.23


def screened_repulsion(r: Tensor, first: Tensor, second: Tensor, bohr: float) -> Tensor:
    r"""Return the universal potential of two nuclei, in units of Hartree times Bohr for each unit of length.

    .. math:: \frac{Z_1 Z_2}{r} \sum_k c_k e^{-d_k r / a}, \quad
        a = \frac{0.88534\, a_0}{Z_1^{0.23} + Z_2^{0.23}}

    Source: Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Solids, Pergamon, New York 1985.

    Args:
        r: (P,) distances.
        first: (P,) atomic numbers, as floating point numbers.
        second: (P,) those of the other nuclei.
        bohr: one Bohr in the unit of the distances.
    """
    x = r * (first**_POWER + second**_POWER) / (_SCREENING * bohr)  # (P,)
    terms = [c * torch.exp(-d * x) for c, d in zip(_COEFFICIENTS, _EXPONENTS, strict=True)]
    return first * second / r * torch.stack(terms).sum(0)  # (P,)
