r"""What the operators on vectors and matrices compute, in plain torch: the definition of every fast kernel.

Features of an atom are F scalars, vectors (A, 3, F), and symmetric traceless matrices (A, 5, F), in the components of
:mod:`pyg_nnp.functional.harmonics`. With L the largest degree, 1 or 2, a pair has harmonics y, (P, 3) or (P, 8), and
L + 1 filters of F numbers, one after the other in the rows of a table.
"""

import torch
from torch import Tensor

from pyg_nnp.functional.harmonics import components, matrices
from pyg_nnp.kernels.reference import filters_of_pairs


def aggregate_tensors(
    weights: Tensor, rows: Tensor, table: Tensor, y: Tensor, a: Tensor, v: Tensor, t: Tensor,
    edge_index: Tensor, start: Tensor, order: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    r"""Return (A, F), (A, 3, F) and (A, 5, F), the sums over neighbors of :math:`w_l \circ (y_l a_l + x_l)`.

    Filters w and features a (A, (L + 1) F) are those of all degrees l; x of degree 1 and 2 are v (A, 3, F) and
    t (A, 5, F), which may be absent, of length 0. With L = 1 the last result is (A, 0, F).
    """
    A, degrees = len(a), 2 if y.shape[1] == 3 else 3
    F = a.shape[1] // degrees
    source, target = edge_index
    w = filters_of_pairs(weights, rows, table).repeat(2, 1).view(2 * len(rows), degrees, F)  # (2 P, L + 1, F)
    sign = torch.ones_like(y)
    sign[:, :3] = -1
    of_edges = torch.cat((y, sign * y))  # (2 P, 8)
    a_j = a.index_select(0, source).view(len(source), degrees, F)  # (2 P, L + 1, F)

    def summed(messages: Tensor) -> Tensor:
        return messages.new_zeros(A, *messages.shape[1:]).index_add(0, target, messages)  # (A, ..., F)

    def of_degree(degree: int, part: Tensor, x: Tensor) -> Tensor:
        z = part[:, :, None] * a_j[:, None, degree]  # (2 P, 2 l + 1, F)
        z = z + x.index_select(0, source) if len(x) else z
        return summed(w[:, None, degree] * z)

    first = of_degree(1, of_edges[:, :3], v)
    second = of_degree(2, of_edges[:, 3:], t) if y.shape[1] > 3 else a.new_empty(A, 0, F)
    return summed(w[:, 0] * a_j[:, 0]), first, second


def invariants(M1: Tensor, M2: Tensor) -> Tensor:
    r"""Return (A, 3 F), :math:`|M_1|^2 / 3, |M_2|^2 / 5` and :math:`M_1 \cdot T M_1` with the matrix T of M2."""
    p = torch.einsum("axyf,ayf->axf", matrices(M2), M1)  # (A, 3, F)
    return torch.cat((M1.square().mean(1), M2.square().mean(1), (M1 * p).sum(1)), dim=1)


def products(g: Tensor, M1: Tensor, M2: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return (A, 3, F) and (A, 5, F), gated sums of messages and of their products.

    .. math:: g_1 M_1 + g_2 T M_1, \qquad g_3 M_2 + g_4 [M_1 M_1^T]_2 + g_5 [T T]_2

    with the matrix T of M2 and :math:`[\cdot]_2` the symmetric traceless part. Of gates (A, 2 F) there is the first
    alone, and the second is (A, 0, F).
    """
    F = M1.shape[2]
    gates = g.reshape(len(g), g.shape[1] // F, 1, F).unbind(1)  # (A, 1, F) each
    T = matrices(M2)  # (A, 3, 3, F)
    vectors = gates[0] * M1 + gates[1] * torch.einsum("axyf,ayf->axf", T, M1)  # (A, 3, F)
    if len(gates) == 2:
        return vectors, M2[:, :0]
    squares = components(M1[:, :, None] * M1[:, None]), components(torch.einsum("axyf,ayzf->axzf", T, T))
    return vectors, gates[2] * M2 + gates[3] * squares[0] + gates[4] * squares[1]  # (A, 3, F), (A, 5, F)
