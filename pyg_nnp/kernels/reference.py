"""What the operators compute, in plain torch: the definition that every fast kernel is compared with.

A pair p = (i, j) has a filter of F numbers, :math:`W_p = b_{p0} T_{m_p} + \\sum_c b_{pc} D_{m_p + c}`, of a row
of a table and of C - 1 differences to the row before, :math:`D_r = T_r - T_{r - 1}`. With interpolated filters the rows
are coefficients of a spline; with given ones C is 1 and the table has one row a pair. Rows of a spline are nearly those
before, so that differences are exact, and slopes of filters, which are made of them, lose no digits.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_nnp.functional.coulomb import Flavor, damped_coulomb, shifted_force
from pyg_nnp.functional.geometry import all_pairs, offsets, pair_distances


class Filters(NamedTuple):
    r"""The filters of P pairs, :math:`W_p = b_{p0} T_{m_p} + \sum_c b_{pc} (T_{m_p + c} - T_{m_p + c - 1})`.

    Attributes:
        weights: (P, C) the b.
        rows: (P,) the m.
        table: (R, F) the T.
    """

    weights: Tensor
    rows: Tensor
    table: Tensor


class Edges(NamedTuple):
    """Edges j -> i, P pairs and then the same pairs reversed, and their order by target.

    Attributes:
        edge_index: (2, 2 P) sources and targets.
        start: (A + 1,) where the edges of each target begin in ``order``.
        order: (2 P,) numbers of the edges, sorted by target.
    """

    edge_index: Tensor
    start: Tensor
    order: Tensor


# which derivatives are asked for
Wanted = tuple[bool, bool, bool, bool]
# flavor, cutoff_sr, shielding and cutoff_lr, which is 0 where there is none
Damping = tuple[Flavor, float, float, float]


def sort_edges(edge_index: Tensor, num_atoms: int) -> tuple[Tensor, Tensor]:
    """Return (A + 1,) where the edges of each target begin in (2 P,), the edges ordered by target."""
    order = torch.argsort(edge_index[1], stable=True)
    return offsets(torch.bincount(edge_index[1], minlength=num_atoms)), order


def sum_rows(values: Tensor, index: Tensor, start: Tensor, order: Tensor) -> Tensor:
    """Return (S, K) sums of the rows of values (N, K) with the same index, (N,) from 0 to S - 1.

    Args:
        values: what is added.
        index: the sum that each row belongs to.
        start: (S + 1,) where the rows of each sum begin in ``order``.
        order: (N,) numbers of the rows, sorted by index; of length 0 where they are sorted as they come.
    """
    return values.new_zeros(len(start) - 1, values.shape[1]).index_add(0, index, values)  # (S, K)


def filters_of_pairs(weights: Tensor, rows: Tensor, table: Tensor) -> Tensor:
    """Return (P, F) the filters of the pairs."""
    # one column of weights at a time: all at once would take C times the memory
    total = weights[:, 0, None] * table.index_select(0, rows)  # (P, F)
    differences = table.diff(dim=0) if weights.shape[1] > 1 else table  # (R - 1, F)
    for c in range(1, weights.shape[1]):
        total = total + weights[:, c, None] * differences.index_select(0, rows + (c - 1))  # (P, F)
    return total


def aggregate(
    weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, edge_index: Tensor, start: Tensor, order: Tensor
) -> Tensor:
    """Return (A, F), A_i = sum over pairs (i, j) of W_p x_j."""
    W = filters_of_pairs(weights, rows, table)
    source, target = edge_index
    return torch.zeros_like(x).index_add(0, target, torch.cat((W, W)) * x.index_select(0, source))  # (A, F)


def _products(x: Tensor, y: Tensor, edge_index: Tensor) -> Tensor:
    """Return (P, F), x_i y_j + x_j y_i of each pair."""
    j, i = edge_index[:, : edge_index.shape[1] // 2]
    return x.index_select(0, i) * y.index_select(0, j) + x.index_select(0, j) * y.index_select(0, i)  # (P, F)


def derivatives(
    b: Tensor, c: Tensor, m: Tensor, T: Tensor, V: Tensor, x: Tensor, g: Tensor, U: Tensor, edges: Edges, wanted: Wanted
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""Derivatives of :math:`\langle A(c, T, x) + A(b, V, x), g \rangle + \langle A(b, T, U), g \rangle`.

    A is :func:`aggregate`. Of A itself, with a cotangent y, the derivatives are those of the last term at U = y and
    g = x. Those of these derivatives, with cotangents c of the weights', V of the table's and U of the features', are
    those of all three terms.

    Weights b and c are (P, C), rows m (P,), tables T and V (R, F), features x, g and U (A, F). Of c, V and U there may
    be none, of length 0; x is not read without c and V. ``wanted``: with respect to which of b, T, x and g.

    Returns:
        Derivatives by b (P, C), T (R, F), x (A, F) and g (A, F), each of length 0 where it is not wanted.
    """
    of_b, of_T, of_x, of_g = torch.zeros_like(b), torch.zeros_like(T), torch.zeros_like(g), torch.zeros_like(g)
    C = b.shape[1]
    for weights, table, one, other, of_one in ((c, T, x, g, of_x), (b, V, x, g, of_x), (b, T, U, g, None)):
        if len(weights) == 0 or len(table) == 0 or len(one) == 0:
            continue
        products = _products(one, other, edges[0])
        for n in range(C):
            row = table.index_select(0, m + n)  # (P, F)
            if table is T:
                of_T.index_add_(0, m + n, weights[:, n, None] * products)
                of_T.index_add_(0, m + max(n - 1, 0), -weights[:, n, None] * products * (n > 0))
            if weights is b:
                difference = row - table.index_select(0, m + n - 1) if n else row  # (P, F)
                of_b[:, n] += (difference * products).sum(dim=1)  # (P,)
        of_g += aggregate(weights, m, table, one, *edges)
        if of_one is not None:
            of_one += aggregate(weights, m, table, other, *edges)
    every = of_b, of_T, of_x, of_g
    found = [value if asked else value[:0] for value, asked in zip(every, wanted, strict=True)]
    return found[0], found[1], found[2], found[3]


def coulomb_potential(q: Tensor, Ra: Tensor, start: Tensor, damping: Damping) -> Tensor:
    """Return (A,), V_i = sum over the other atoms of its molecule of q_j chi(r_ij); no cutoff_lr if that is 0."""
    flavor, cutoff_sr, shielding, cutoff_lr = damping
    pairs = all_pairs(start.diff())
    (i, j), r = pairs, pair_distances(Ra, pairs)
    chi = damped_coulomb(r, cutoff_sr, shielding, flavor)
    if cutoff_lr > 0:
        chi = shifted_force(r, chi, cutoff_lr)
    zero = torch.zeros_like(q)
    return zero.index_add(0, i, chi * q.index_select(0, j)).index_add(0, j, chi * q.index_select(0, i))  # (A,)


def _derivative(of: Tensor, by: list[Tensor]) -> list[Tensor]:
    # there is no graph where no molecule has two atoms
    return list(torch.autograd.grad([of], by, create_graph=True, allow_unused=True, materialize_grads=True))


def coulomb_gradient(g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, damping: Damping) -> Tensor:
    """Return (A, 3), the gradient of sum_i g_i V_i with respect to the positions."""
    R = Ra.detach().requires_grad_()
    V = coulomb_potential(q, R, start, damping)
    return _derivative((g * V).sum(), [R])[0].detach()


def coulomb_gradient_backward(
    u: Tensor, g: Tensor, q: Tensor, Ra: Tensor, start: Tensor, damping: Damping, curvature: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of sum_i u_i . coulomb_gradient_i by g (A,), q (A,) and Ra (A, 3).

    Without ``curvature`` the last is (0, 3).
    """
    g, q, R = (value.detach().requires_grad_() for value in (g, q, Ra))
    V = coulomb_potential(q, R, start, damping)
    (gradient,) = _derivative((g * V).sum(), [R])
    of_g, of_q, of_R = (value.detach() for value in _derivative((u * gradient).sum(), [g, q, R]))
    return of_g, of_q, of_R if curvature else of_R.new_empty(0, 3)  # (A,), (A,), (A, 3)


def shifted_softplus(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ln(e^x / 2 + 1 / 2) and its slope, the logistic function."""
    return F.softplus(x) - math.log(2), torch.sigmoid(x)
