"""Messages of scalars, vectors and matrices, and their derivatives."""

import torch
from torch import Tensor

from pyg_nnp.kernels.cpu.compiler import num_threads, run
from pyg_nnp.kernels.cpu.product_loops import (
    INVARIANTS,
    INVARIANTS_GRADIENT,
    INVARIANTS_SECOND,
    PRODUCTS,
    PRODUCTS_GRADIENT,
)
from pyg_nnp.kernels.cpu.product_second_loops import PRODUCTS_SECOND
from pyg_nnp.kernels.cpu.tensor_loops import AGGREGATE, FIRST_DERIVATIVES, MOST_FEATURES
from pyg_nnp.kernels.cpu.tensor_second_loops import SECOND_DERIVATIVES
from pyg_nnp.kernels.reference import Edges

Tensors = tuple[Tensor, ...]


def supports(y: Tensor, a: Tensor) -> bool:
    """Say whether there are loops for these sizes: not too many features."""
    return a.shape[1] <= _degrees(y) * MOST_FEATURES


def _degrees(y: Tensor) -> int:
    return 2 if y.shape[1] == 3 else 3


def _own(arranged: Tensors) -> tuple[int, ...]:
    """Return a tuple as long as there are filters of v and t alone: the loops are compiled for each length."""
    return (0,) * (arranged[2].shape[1] - arranged[4].shape[1])


def _arranged(
    b: Tensor, rows: Tensor, T: Tensor, y: Tensor, a: Tensor, v: Tensor, t: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the arguments of the loops: the degrees one after the other have a dimension of their own."""
    degrees, A = _degrees(y), len(a)
    F = a.shape[1] // degrees
    filters = T.reshape(len(T), T.shape[1] // F, F)  # (R, K, F)
    # zeros in place of absent features
    x = [x if len(x) else a.new_zeros(A, n, F) for x, n in ((v, 3), (t, y.shape[1] - 3))]  # (A, 3, F), (A, 5, F)
    return b, rows, filters, y, a.reshape(A, degrees, F), x[0], x[1]  # a: (A, L + 1, F)


def aggregate_tensors(
    weights: Tensor, rows: Tensor, table: Tensor, y: Tensor, a: Tensor, v: Tensor, t: Tensor, *edges: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.tensor_reference.aggregate_tensors`."""
    edge_index, start, order = edges
    A, F = len(a), a.shape[1] // _degrees(y)
    out = a.new_empty(A, F), a.new_empty(A, 3, F), a.new_empty(A, y.shape[1] - 3, F)  # the last: (A, 5, F) or (A, 0, F)
    arranged = _arranged(weights, rows, table, y, a, v, t)
    run(AGGREGATE, *arranged, _own(arranged), edge_index[0], start, order, *out, num_threads())
    return out


def tensor_derivatives(g: Tensors, inputs: Tensors, edges: Edges, wanted: tuple[bool, bool, bool]) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.tensor_derivatives`."""
    b, _, T, y, a, v, t = inputs
    arranged = _arranged(b, inputs[1], T, y, a, v, t)
    of_b, of_T, of_y = _outputs(b, arranged[2], y, wanted)
    of_a, of_v, of_t = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in arranged[4:])
    ends = edges.edge_index[0], edges.start, edges.order
    run(FIRST_DERIVATIVES, *arranged, *g, _own(arranged), *ends, of_b, of_T, of_y, of_a, of_v, of_t, num_threads())
    by_a = of_a.flatten(1)  # (A, 3 F)
    return of_b, _summed(of_T), of_y, by_a, of_v if len(v) else v, of_t if len(t) else t


def tensor_second_derivatives(
    change: Tensors, g: Tensors, inputs: Tensors, edges: Edges, wanted: tuple[bool, bool, bool]
) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.tensor_second_derivatives`."""
    b, rows, T, y, a, v, t = inputs
    db, dT, dy, da, dv, dt = change
    arranged, changed = _arranged(b, rows, T, y, a, v, t), _arranged(db, rows, dT, dy, da, dv, dt)
    of_b, of_T, of_y = _outputs(b, arranged[2], y, wanted)
    outputs = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (*arranged[4:], *g)]
    ends = edges.edge_index[0], edges.start, edges.order
    given = *arranged, *g, db, *changed[2:], _own(arranged)
    run(SECOND_DERIVATIVES, *given, *ends, of_b, of_T, of_y, *outputs, num_threads())
    of_a, of_v, of_t, *of_g = outputs
    of_features = of_a.flatten(1), of_v if len(v) else v, of_t if len(t) else t
    return of_b, _summed(of_T), of_y, *of_features, *of_g


def _outputs(b: Tensor, T: Tensor, y: Tensor, wanted: tuple[bool, bool, bool]) -> tuple[Tensor, Tensor, Tensor]:
    """Return what is added to: by weights, by the table, one for each thread, and by harmonics, none if not wanted."""
    threads, rows = num_threads(), len(T) if wanted[1] else 0
    return (
        torch.zeros_like(b) if wanted[0] else b.new_empty(0, b.shape[1]),
        T.new_zeros(threads, rows, *T.shape[1:]),  # (T, R, K, F)
        torch.zeros_like(y) if wanted[2] else y.new_empty(0, y.shape[1]),
    )


def _summed(of_T: Tensor) -> Tensor:
    return (of_T[0] if len(of_T) == 1 else of_T.sum(dim=0)).flatten(1)  # (R, K F)


def _like(*tensors: Tensor) -> list[Tensor]:
    return [torch.empty_like(x, memory_format=torch.contiguous_format) for x in tensors]


def invariants(M1: Tensor, M2: Tensor) -> Tensor:
    """See :func:`pyg_nnp.kernels.tensor_reference.invariants`."""
    (out,) = _like(M1)
    run(INVARIANTS, M1, M2, out)
    return out.flatten(1)  # (A, 3 F)


def invariants_gradient(c: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.invariants_gradient`."""
    out = _like(M1, M2)
    run(INVARIANTS_GRADIENT, c.reshape(M1.shape), M1, M2, *out)
    return tuple(out)


def invariants_second(d1: Tensor, d2: Tensor, c: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.invariants_second`."""
    out = _like(M1, M1, M2)
    run(INVARIANTS_SECOND, d1, d2, c.reshape(M1.shape), M1, M2, *out)
    return out[0].flatten(1), out[1], out[2]  # the first (A, 3 F) or (A, 5 F)


def products(g: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.products`."""
    out = _like(M1, M2)
    run(PRODUCTS, g.reshape(M2.shape), M1, M2, *out)
    return tuple(out)


def products_gradient(y1: Tensor, y2: Tensor, g: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.products_gradient`."""
    out = _like(M2, M1, M2)
    run(PRODUCTS_GRADIENT, y1, y2, g.reshape(M2.shape), M1, M2, *out)
    return out[0].flatten(1), out[1], out[2]  # the first (A, 3 F) or (A, 5 F)


def products_second(
    dg: Tensor, d1: Tensor, d2: Tensor, y1: Tensor, y2: Tensor, g: Tensor, M1: Tensor, M2: Tensor
) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.products_second`."""
    of_y1, of_y2, of_g, of_M1, of_M2 = out = _like(M1, M2, M2, M1, M2)
    gates = dg.reshape(M2.shape), d1, d2, y1, y2, g.reshape(M2.shape)  # of gates (A, 5, F)
    run(PRODUCTS_SECOND, *gates, M1, M2, *out)
    return of_y1, of_y2, of_g.flatten(1), of_M1, of_M2  # of gates (A, 5 F)
