"""The operators on vectors and symmetric traceless matrices; see :mod:`pyg_nnp.functional.harmonics`."""

from torch import Tensor

from pyg_nnp.kernels import tensor_reference
from pyg_nnp.kernels.reference import Edges, Filters


def aggregate_tensors(
    filters: Filters, y: Tensor, a: Tensor, v: Tensor, t: Tensor, edges: Edges
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Equivariant aggregation, :math:`m^l_i = \sum_{p = (i, j)} w^l_p \circ (y^l_p a^l_j + x^l_j)`.

    See :func:`pyg_nnp.kernels.tensor_reference.aggregate_tensors`.

    Args:
        filters: of P pairs, (L + 1) F numbers each, of the degrees 0 to L, 1 or 2.
        y: (P, 3) or (P, 8) harmonics of the pairs, from i to j.
        a: (A, (L + 1) F) features of all degrees.
        v: (A, 3, F) vectors, the x of degree 1; (0, 3, F): none.
        t: (A, 5, F) matrices, the x of degree 2; (0, 5, F): none.
        edges: of the pairs.

    Returns:
        (A, F), (A, 3, F) and (A, 5, F), which is (A, 0, F) where L is 1.
    """
    return tensor_reference.aggregate_tensors(*filters, y, a, v, t, *edges)


invariants, products = tensor_reference.invariants, tensor_reference.products
