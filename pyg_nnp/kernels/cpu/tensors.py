"""Messages of scalars, vectors and matrices, and their derivatives."""

import torch
from torch import Tensor

from pyg_nnp.kernels.cpu.compiler import Kernel, num_threads, run
from pyg_nnp.kernels.cpu.product_loops import (
    INVARIANTS,
    INVARIANTS_GRADIENT,
    INVARIANTS_SECOND,
    PRODUCTS,
    PRODUCTS_GRADIENT,
)
from pyg_nnp.kernels.cpu.product_second_loops import PRODUCTS_SECOND
from pyg_nnp.kernels.cpu.tensor_features import MOST_FEATURES
from pyg_nnp.kernels.cpu.tensor_loops import AGGREGATE, FIRST_DERIVATIVES
from pyg_nnp.kernels.cpu.tensor_second_loops import SECOND_DERIVATIVES
from pyg_nnp.kernels.reference import Edges

Tensors = tuple[Tensor, ...]
_FEWEST_ATOMS = 32  # of a thread


def supports(table: Tensor, y: Tensor, a: Tensor) -> bool:
    """Say whether there are loops for this: three filters a pair, and not too many features."""
    return table.shape[1] * _degrees(y) == 3 * a.shape[1] and a.shape[1] <= _degrees(y) * MOST_FEATURES


def _degrees(y: Tensor) -> int:
    return 2 if y.shape[1] == 3 else 3


def _arranged(
    b: Tensor, rows: Tensor, T: Tensor, y: Tensor, a: Tensor, v: Tensor, t: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the arguments of the loops: the degrees one after the other have a dimension of their own."""
    degrees = _degrees(y)
    F = a.shape[1] // degrees
    return b, rows, T.reshape(len(T), 3, F), y, a.reshape(len(a), degrees, F), v, t  # (R, 3, F), (A, L + 1, F)


def aggregate_tensors(
    weights: Tensor, rows: Tensor, table: Tensor, y: Tensor, a: Tensor, v: Tensor, t: Tensor, *edges: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.tensor_reference.aggregate_tensors`."""
    edge_index, start, order = edges
    A, F = len(a), a.shape[1] // _degrees(y)
    # the last: (A, 5, F) or (A, 0, F)
    out = a.new_empty(A, 1, F), a.new_empty(A, 3, F), a.new_empty(A, y.shape[1] - 3, F)  # (A, 1, F), (A, 3, F)
    arranged = _arranged(weights, rows, table, y, a, v, t)
    run(AGGREGATE, *arranged, edge_index[0], start, order, *out, num_threads())
    return out[0][:, 0], out[1], out[2]  # (A, F)


def tensor_derivatives(g: Tensors, inputs: Tensors, edges: Edges, wanted: tuple[bool, bool, bool, bool]) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.tensor_derivatives`."""
    b, _, T, y, a, v, t = inputs
    arranged = _arranged(b, inputs[1], T, y, a, v, t)
    of_b, of_T, of_y = _outputs(b, arranged[2], y, wanted[:3])
    of_a, of_v, of_t = _like(*(x if wanted[3] else x[:0] for x in arranged[4:]))
    ends = edges.edge_index[0], edges.start, edges.order
    given = *arranged, g[0][:, None], *g[1:]  # (A, 1, F)
    run(FIRST_DERIVATIVES, *given, *ends, of_b, of_T, of_y, of_a, of_v, of_t, num_threads())
    return of_b, _summed(of_T), of_y, of_a.flatten(1), of_v, of_t  # (A, 3 F)


def tensor_second_derivatives(
    change: Tensors, g: Tensors, inputs: Tensors, edges: Edges, wanted: tuple[bool, bool, bool]
) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.tensor_second_derivatives`."""
    b, rows, T, y, a, v, t = inputs
    db, dT, dy, da, dv, dt = change
    arranged, changed = _arranged(b, rows, T, y, a, v, t), _arranged(db, rows, dT, dy, da, dv, dt)
    of_b, of_T, of_y = _outputs(b, arranged[2], y, wanted)
    of_scalars = g[0][:, None]  # (A, 1, F)
    outputs = _like(*arranged[4:], of_scalars, *g[1:])
    ends = edges.edge_index[0], edges.start, edges.order
    given = *arranged, of_scalars, *g[1:], db, *changed[2:]
    run(SECOND_DERIVATIVES, *given, *ends, of_b, of_T, of_y, *outputs, num_threads())
    of_a, of_v, of_t, of_g0, *of_g = outputs
    return of_b, _summed(of_T), of_y, of_a.flatten(1), of_v, of_t, of_g0[:, 0], *of_g  # (A, 3 F), (A, F)


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


def _run_over_atoms(kernel: Kernel, *arrays: Tensor) -> None:
    # threads wait for one another in the time of some atoms, and far longer where other programs run
    threads = min(num_threads(), 1 + len(arrays[0]) // _FEWEST_ATOMS)
    run(kernel, threads, *arrays, threads=threads)


def invariants(M1: Tensor, M2: Tensor) -> Tensor:
    """See :func:`pyg_nnp.kernels.tensor_reference.invariants`."""
    (out,) = _like(M1)
    _run_over_atoms(INVARIANTS, M1, M2, out)
    return out.flatten(1)  # (A, 3 F)


def invariants_gradient(c: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.invariants_gradient`."""
    out = _like(M1, M2)
    _run_over_atoms(INVARIANTS_GRADIENT, c.reshape(M1.shape), M1, M2, *out)
    return tuple(out)


def invariants_second(d1: Tensor, d2: Tensor, c: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.invariants_second`."""
    out = _like(M1, M1, M2)
    _run_over_atoms(INVARIANTS_SECOND, d1, d2, c.reshape(M1.shape), M1, M2, *out)
    return out[0].flatten(1), out[1], out[2]  # the first (A, 3 F) or (A, 5 F)


def products(g: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.products`."""
    out = _like(M1, M2)
    _run_over_atoms(PRODUCTS, g.reshape(M2.shape), M1, M2, *out)
    return tuple(out)


def products_gradient(y1: Tensor, y2: Tensor, g: Tensor, M1: Tensor, M2: Tensor) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.products_gradient`."""
    out = _like(M2, M1, M2)
    _run_over_atoms(PRODUCTS_GRADIENT, y1, y2, g.reshape(M2.shape), M1, M2, *out)
    return out[0].flatten(1), out[1], out[2]  # the first (A, 3 F) or (A, 5 F)


def products_second(
    dg: Tensor, d1: Tensor, d2: Tensor, y1: Tensor, y2: Tensor, g: Tensor, M1: Tensor, M2: Tensor
) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.products_second`."""
    of_y1, of_y2, of_g, of_M1, of_M2 = out = _like(M1, M2, M2, M1, M2)
    gates = dg.reshape(M2.shape), d1, d2, y1, y2, g.reshape(M2.shape)  # of gates (A, 5, F)
    _run_over_atoms(PRODUCTS_SECOND, *gates, M1, M2, *out)
    return of_y1, of_y2, of_g.flatten(1), of_M1, of_M2  # of gates (A, 5 F)
