"""What the operators compute, in plain torch: the definition that every fast kernel is compared with.

A pair p = (i, j) has a filter of F numbers, :math:`W_p = \\sum_c b_{pc} T_{m_p + c}`, a sum of C rows of a table. With
interpolated filters the rows are coefficients of a spline; with given ones C is 1 and the table has one row a pair.
"""

import torch
from torch import Tensor

from pyg_nnp.functional.coulomb import Flavor, damped_coulomb, shifted_force


def sort_edges(edge_index: Tensor, num_atoms: int) -> tuple[Tensor, Tensor]:
    """Return (A + 1,) where the edges of each target begin in (2 P,), the edges ordered by target."""
    order = torch.argsort(edge_index[1], stable=True)
    counts = torch.bincount(edge_index[1], minlength=num_atoms)
    return torch.cat((counts.new_zeros(1), counts.cumsum(0))), order


def filters_of_pairs(weights: Tensor, rows: Tensor, table: Tensor) -> Tensor:
    """Return (P, F) the filters of the pairs."""
    # one column of weights at a time: all at once would take C times the memory
    total = weights[:, 0, None] * table.index_select(0, rows)
    for c in range(1, weights.shape[1]):
        total = total + weights[:, c, None] * table.index_select(0, rows + c)
    return total


def aggregate(
    weights: Tensor, rows: Tensor, table: Tensor, x: Tensor, edge_index: Tensor, start: Tensor, order: Tensor
) -> Tensor:
    """Return (A, F), A_i = sum over pairs (i, j) of W_p x_j."""
    W = filters_of_pairs(weights, rows, table)
    source, target = edge_index
    return torch.zeros_like(x).index_add(0, target, torch.cat((W, W)) * x.index_select(0, source))


def _products(x: Tensor, y: Tensor, edge_index: Tensor) -> Tensor:
    """Return (P, F), x_i y_j + x_j y_i of each pair."""
    j, i = edge_index[:, : edge_index.shape[1] // 2]
    return x.index_select(0, i) * y.index_select(0, j) + x.index_select(0, j) * y.index_select(0, i)


def weights_gradient(rows: Tensor, table: Tensor, x: Tensor, y: Tensor, edge_index: Tensor, num_weights: int) -> Tensor:
    """Return (P, C), the sum over F of T_{m_p + c} (x_i y_j + x_j y_i)."""
    products = _products(x, y, edge_index)
    columns = [(table.index_select(0, rows + c) * products).sum(dim=1) for c in range(num_weights)]
    return torch.stack(columns, dim=1)


def table_gradient(weights: Tensor, rows: Tensor, x: Tensor, y: Tensor, edge_index: Tensor, num_rows: int) -> Tensor:
    """Return (R, F), b_pc (x_i y_j + x_j y_i) of all pairs added up at row m_p + c."""
    products = _products(x, y, edge_index)
    total = x.new_zeros(num_rows, x.shape[1])
    for c in range(weights.shape[1]):
        total = total.index_add(0, rows + c, weights[:, c, None] * products)
    return total


def _molecule_pairs(start: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (P,) first and second atoms of all pairs i < j of each molecule."""
    sizes = start.diff()
    atoms = torch.arange(int(start[-1]), device=start.device)
    # an atom is the second of as many pairs as there are atoms before it in its molecule
    before = atoms - torch.repeat_interleave(start[:-1], sizes)
    second = torch.repeat_interleave(atoms, before)
    number = torch.arange(len(second), device=start.device) - torch.repeat_interleave(before.cumsum(0) - before, before)
    return second - torch.repeat_interleave(before, before) + number, second


def coulomb_potential(
    q: Tensor, Ra: Tensor, start: Tensor, flavor: Flavor, cutoff_sr: float, shielding: float, cutoff_lr: float
) -> Tensor:
    """Return (A,), V_i = sum over the other atoms of its molecule of q_j chi(r_ij); no cutoff_lr if that is 0."""
    i, j = _molecule_pairs(start)
    r = (Ra.index_select(0, i) - Ra.index_select(0, j)).square().sum(dim=1).sqrt()
    chi = damped_coulomb(r, cutoff_sr, shielding, flavor)
    if cutoff_lr > 0:
        chi = shifted_force(r, chi, cutoff_lr)
    zero = torch.zeros_like(q)
    return zero.index_add(0, i, chi * q.index_select(0, j)).index_add(0, j, chi * q.index_select(0, i))


def _derivative(of: Tensor, by: list[Tensor]) -> list[Tensor]:
    # there is no graph where no molecule has two atoms
    return list(torch.autograd.grad([of], by, create_graph=True, allow_unused=True, materialize_grads=True))


def coulomb_gradient(
    g: Tensor,
    q: Tensor,
    Ra: Tensor,
    start: Tensor,
    flavor: Flavor,
    cutoff_sr: float,
    shielding: float,
    cutoff_lr: float,
) -> Tensor:
    """Return (A, 3), the gradient of sum_i g_i V_i with respect to the positions."""
    R = Ra.detach().requires_grad_()
    V = coulomb_potential(q, R, start, flavor, cutoff_sr, shielding, cutoff_lr)
    return _derivative((g * V).sum(), [R])[0].detach()


def coulomb_gradient_backward(
    u: Tensor,
    g: Tensor,
    q: Tensor,
    Ra: Tensor,
    start: Tensor,
    flavor: Flavor,
    cutoff_sr: float,
    shielding: float,
    cutoff_lr: float,
    curvature: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of sum_i u_i . coulomb_gradient_i by g (A,), q (A,) and Ra (A, 3).

    Without ``curvature`` the last is (0, 3).
    """
    g, q, R = (value.detach().requires_grad_() for value in (g, q, Ra))
    V = coulomb_potential(q, R, start, flavor, cutoff_sr, shielding, cutoff_lr)
    (gradient,) = _derivative((g * V).sum(), [R])
    of_g, of_q, of_R = (value.detach() for value in _derivative((u * gradient).sum(), [g, q, R]))
    return of_g, of_q, of_R if curvature else of_R.new_empty(0, 3)
