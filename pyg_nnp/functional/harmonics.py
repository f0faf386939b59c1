r"""Directions as vectors and as symmetric traceless matrices, which rotate as spherical harmonics of degree 1 and 2 do.

A symmetric traceless matrix :math:`T = \sum_k t_k E_k` is given by 5 components in an orthonormal basis,
:math:`\langle E_k, E_l \rangle = \delta_{kl}`, so that its norm is that of the components.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

_DIAGONAL, _SYMMETRIC = 6**-0.5, 2**-0.5
# (5, 3, 3), the matrices E_k: xy, yz, 2zz - xx - yy, xz, xx - yy
BASIS = np.zeros((5, 3, 3))
for _k, (_a, _b) in ((0, (0, 1)), (1, (1, 2)), (3, (0, 2))):
    BASIS[_k, _a, _b] = BASIS[_k, _b, _a] = _SYMMETRIC
BASIS[2] = np.diag([-_DIAGONAL, -_DIAGONAL, 2 * _DIAGONAL])
BASIS[4] = np.diag([_SYMMETRIC, -_SYMMETRIC, 0.0])


@cache
def matrix_basis(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (5, 3, 3) the matrices of the basis."""
    # made outside of inference mode, since it is kept
    with torch.inference_mode(False):
        return torch.tensor(BASIS, dtype=dtype, device=device)


@cache
def _forms(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (6, 5), from xx, yy, zz, xy, yz and zx to components of degree 2, with a mean square of 1."""
    diagonal, others = BASIS[:, [0, 1, 2], [0, 1, 2]], 2 * BASIS[:, [0, 1, 2], [1, 2, 0]]  # (5, 3), (5, 3)
    forms = 7.5**0.5 * np.concatenate((diagonal, others), axis=1).T  # (6, 5)
    with torch.inference_mode(False):
        return torch.tensor(forms, dtype=dtype, device=device)


def matrices(t: Tensor) -> Tensor:
    """Return (A, 3, 3, F) symmetric traceless matrices from (A, 5, F) components."""
    return torch.einsum("kxy,akf->axyf", matrix_basis(t.dtype, t.device), t)


def components(matrix: Tensor) -> Tensor:
    """Return (A, 5, F) components of the symmetric traceless part of (A, 3, 3, F) matrices."""
    return torch.einsum("kxy,axyf->akf", matrix_basis(matrix.dtype, matrix.device), matrix)


def harmonics(vectors: Tensor, r: Tensor, degree: int) -> Tensor:
    r"""Return the harmonics of directions :math:`u = V / r` up to a degree of 1 or 2, with a mean square of 1.

    .. math:: y_1 = \sqrt3\, u, \qquad y_2 = \sqrt{15/2}\, \big(u u^T - \tfrac13 1\big)

    They are polynomials of u, so that their derivatives are finite in every direction. Those of -u are
    :math:`-y_1` and :math:`y_2`.

    Args:
        vectors: (P, 3) the V.
        r: (P,) their lengths, of which none is 0.
        degree: the largest, 1 or 2.

    Returns:
        (P, 3) or (P, 8) components.
    """
    u = vectors / r[:, None]  # (P, 3)
    first = 3**0.5 * u
    if degree == 1:
        return first
    products = torch.cat((u * u, u * u.roll(-1, dims=1)), dim=1)  # (P, 6)
    return torch.cat((first, products @ _forms(u.dtype, u.device)), dim=1)  # (P, 8)
