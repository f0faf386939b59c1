r"""What the operators on vectors and matrices compute, in plain torch: the definition of every fast kernel.

Features of an atom are F scalars, vectors (A, 3, F), and symmetric traceless matrices (A, 5, F), in the components of
:mod:`pyg_nnp.functional.harmonics`. With L the largest degree, 1 or 2, a pair has harmonics y, (P, 3) or (P, 8), and
L + 1 filters of F numbers, one after the other in the rows of a table. With 2 L + 1 of them the filters are untied: the
last L are those of vectors and matrices of the neighbors.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from pyg_nnp.functional.harmonics import components, matrices
from pyg_nnp.kernels.reference import Edges, filters_of_pairs

Tensors = tuple[Tensor, ...]


def aggregate_tensors(
    weights: Tensor, rows: Tensor, table: Tensor, y: Tensor, a: Tensor, v: Tensor, t: Tensor,
    edge_index: Tensor, start: Tensor, order: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    r"""Return (A, F), (A, 3, F) and (A, 5, F), the sums over neighbors of :math:`w_l \circ y_l a_l + w'_l \circ x_l`.

    Filters w and features a (A, (L + 1) F) are those of all degrees l; x of degree 1 and 2 are v (A, 3, F) and
    t (A, 5, F), which may be absent, of length 0. Filters w' are w, or their own. With L = 1 the last result is
    (A, 0, F). On CUDA the sums are atomic additions, so two runs differ by rounding; nothing waits for the device.
    """
    # not len, which would be the same for all sizes where this is recorded as TorchScript
    A, degrees = a.shape[0], 2 if y.shape[1] == 3 else 3
    F = a.shape[1] // degrees
    source, target = edge_index
    w = filters_of_pairs(weights, rows, table).repeat(2, 1)
    w = w.view(w.shape[0], table.shape[1] // F, F)  # (2 P, K, F)
    sign = torch.ones_like(y)
    sign[:, :3] = -1
    of_edges = torch.cat((y, sign * y))  # (2 P, 8)
    a_j = a.index_select(0, source).view(source.shape[0], degrees, F)  # (2 P, L + 1, F)

    def summed(messages: Tensor) -> Tensor:
        return messages.new_zeros(A, *messages.shape[1:]).index_add(0, target, messages)  # (A, ..., F)

    def of_degree(degree: int, part: Tensor, x: Tensor) -> Tensor:
        messages = w[:, None, degree] * part[:, :, None] * a_j[:, None, degree]  # (2 P, 2 l + 1, F)
        if len(x):
            # the filters of x are the last ones
            messages = messages + w[:, None, degree - degrees] * x.index_select(0, source)  # (2 P, 2 l + 1, F)
        return summed(messages)

    first = of_degree(1, of_edges[:, :3], v)
    second = of_degree(2, of_edges[:, 3:], t) if y.shape[1] > 3 else a.new_empty(A, 0, F)  # (A, 5, F)
    return summed(w[:, 0] * a_j[:, 0]), first, second


def tensor_derivatives(
    g: Tensors, inputs: Tensors, edges: Edges, wanted: tuple[bool, bool, bool, bool], create_graph: bool = False
) -> Tensors:
    r"""Return the derivatives of :math:`\sum_l \langle m_l, g_l \rangle`, where m is what aggregate_tensors returns.

    Args:
        g: (A, F), (A, 3, F) and (A, 5, F).
        inputs: the first seven arguments of :func:`aggregate_tensors`.
        edges: of the pairs.
        wanted: which of the first three derivatives are, and whether the others are; else they have a length of 0.
        create_graph: the result can be differentiated again.

    Returns:
        Derivatives by weights, table, y, a, v and t, each in its shape.
    """
    weights, rows, *others = inputs
    by = [x if create_graph else x.detach().requires_grad_() for x in (weights, *others)]
    with torch.enable_grad():
        out = aggregate_tensors(*cast(Any, (by[0], rows, *by[1:], *edges)))
        total = torch.stack([(m * one).sum() for m, one in zip(out, g, strict=True)]).sum()  # ()
        found = torch.autograd.grad(total, by, create_graph=create_graph, allow_unused=True, materialize_grads=True)
    return tuple(x if wanted[min(n, 3)] else x[:0] for n, x in enumerate(found))


def tensor_second_derivatives(
    change: Tensors, g: Tensors, inputs: Tensors, edges: Edges, wanted: tuple[bool, bool, bool]
) -> Tensors:
    r"""Return the derivatives of the products of :func:`tensor_derivatives` with changes of what they are by.

    Args:
        change: of weights, table, y, a, v and t, in their shapes; of the table it may be absent, of length 0.
        g: (A, F), (A, 3, F) and (A, 5, F).
        inputs: the first seven arguments of :func:`aggregate_tensors`.
        edges: of the pairs.
        wanted: which of the first three derivatives are; the others have a length of 0.

    Returns:
        Derivatives by weights, table, y, a, v, t, and the three g, each in its shape.
    """
    leaves = [x.detach().requires_grad_(x.is_floating_point()) for x in (*inputs, *g)]
    with torch.enable_grad():
        first = tensor_derivatives(tuple(leaves[7:]), tuple(leaves[:7]), edges, (True, True, True, True), True)
        terms = [(by * d).sum() for by, d in zip(first, change, strict=True) if len(d) == len(by)]
        by = [leaf for leaf in leaves if leaf.is_floating_point()]
        total = torch.stack(terms).sum()  # ()
        found = torch.autograd.grad(total, by, allow_unused=True, materialize_grads=True)
    return *[x if asked else x[:0] for x, asked in zip(found, wanted, strict=False)], *found[3:]


def invariants(M1: Tensor, M2: Tensor) -> Tensor:
    r"""Return (A, 3 F), :math:`|M_1|^2 / 3, |M_2|^2 / 5` and :math:`M_1 \cdot T M_1` with the matrix T of M2."""
    p = torch.einsum("axyf,ayf->axf", matrices(M2), M1)  # (A, 3, F)
    return torch.cat((M1.square().mean(1), M2.square().mean(1), (M1 * p).sum(1)), dim=1)  # (A, 3 F)


def products(g: Tensor, M1: Tensor, M2: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return (A, 3, F) and (A, 5, F), gated sums of messages and of their products.

    .. math:: g_1 M_1 + g_2 T M_1, \qquad g_3 M_2 + g_4 [M_1 M_1^T]_2 + g_5 [T T]_2

    with the matrix T of M2, :math:`[\cdot]_2` the symmetric traceless part, and gates (A, 5 F).
    """
    F = M1.shape[2]
    gates = g.reshape(g.shape[0], g.shape[1] // F, 1, F).unbind(1)  # (A, 1, F) each
    T = matrices(M2)  # (A, 3, 3, F)
    vectors = gates[0] * M1 + gates[1] * torch.einsum("axyf,ayf->axf", T, M1)  # (A, 3, F)
    squares = components(M1[:, :, None] * M1[:, None]), components(torch.einsum("axyf,ayzf->axzf", T, T))  # (A, 5, F)
    return vectors, gates[2] * M2 + gates[3] * squares[0] + gates[4] * squares[1]  # (A, 3, F), (A, 5, F)


def _gradient(
    function: Callable[..., Tensor | Tensors], given: Tensors, inputs: Tensors, create_graph: bool
) -> Tensors:
    """Return the derivatives by the inputs of what a function of them returns, times what is given."""
    with torch.enable_grad():
        leaves = inputs if create_graph else tuple(x.detach().requires_grad_() for x in inputs)
        out = function(*leaves)
        outputs = (out,) if isinstance(out, Tensor) else out
        return torch.autograd.grad(outputs, leaves, given, create_graph=create_graph, materialize_grads=True)


def _second(function: Callable[..., Tensor | Tensors], changes: Tensors, given: Tensors, inputs: Tensors) -> Tensors:
    """Return the derivatives, by what is given and by the inputs, of the gradient times changes of the inputs."""

    def gradient(*leaves: Tensor) -> Tensors:
        return _gradient(function, leaves[: len(given)], leaves[len(given) :], True)

    return _gradient(gradient, changes, (*given, *inputs), False)


def invariants_gradient(c: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """Return the derivatives of the invariants times c (A, 3 F) by M1 and M2."""
    return _gradient(invariants, (c,), (M1, M2), False)


def invariants_second(d1: Tensor, d2: Tensor, c: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """Return the derivatives of :func:`invariants_gradient` times d1 and d2 by c, M1 and M2."""
    return _second(invariants, (d1, d2), (c,), (M1, M2))


def products_gradient(y1: Tensor, y2: Tensor, g: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """Return the derivatives of the products times y1 (A, 3, F) and y2 (A, 5, F) by g, M1 and M2."""
    return _gradient(products, (y1, y2), (g, M1, M2), False)


def products_second(
    dg: Tensor, d1: Tensor, d2: Tensor, y1: Tensor, y2: Tensor, g: Tensor, M1: Tensor, M2: Tensor
) -> Tensors:
    """Return the derivatives of :func:`products_gradient` times dg, d1 and d2 by y1, y2, g, M1 and M2."""
    return _second(products, (dg, d1, d2), (y1, y2), (g, M1, M2))
