"""Messages of scalars, vectors and matrices, and their derivatives."""

import torch
import triton
from torch import Tensor

from pyg_nnp.kernels.gpu.aggregation import sort_keys
from pyg_nnp.kernels.gpu.compiler import run
from pyg_nnp.kernels.gpu.products import (
    Tensors,
    invariants,
    invariants_gradient,
    invariants_second,
    products,
    products_gradient,
    products_second,
)
from pyg_nnp.kernels.gpu.tensor_kernels import of_features, of_messages
from pyg_nnp.kernels.gpu.tensor_pair_kernels import of_pairs, of_rows, sum_parts
from pyg_nnp.kernels.reference import Edges

__all__ = [
    "MOST_FEATURES",
    "aggregate_tensors",
    "invariants",
    "invariants_gradient",
    "invariants_second",
    "products",
    "products_gradient",
    "products_second",
    "supports",
    "tensor_derivatives",
    "tensor_second_derivatives",
]

# more do not fit in the registers of a program
MOST_FEATURES = 256
# nothing changes
_NOTHING = (None,) * 6


def supports(table: Tensor, y: Tensor, a: Tensor) -> bool:
    """Say whether there are kernels for this: a filter for each degree, and not too many features."""
    return table.shape[1] == a.shape[1] and a.shape[1] <= _degrees(y) * MOST_FEATURES


def _degrees(y: Tensor) -> int:
    return 2 if y.shape[1] == 3 else 3


def _tile(y: Tensor, a: Tensor, C: int) -> dict[str, int]:
    """Return the sizes that kernels are compiled for: how many features, and pairs at a time, fill the registers."""
    D = _degrees(y)
    width = triton.next_power_of_2(a.shape[1] // D)
    # one warp and 512 bytes: of those tried on an NVIDIA H200 the fastest, see docs/performance.md
    count = 512 // (width * a.element_size())
    return {"C": C, "D": D, "F": a.shape[1] // D, "WIDTH": width, "COUNT": min(max(count, 1), 8), "num_warps": 1}


def _present(x: Tensor) -> Tensor | None:
    return x if len(x) else None  # for what is None nothing is compiled


def _given(tensors: Tensors) -> tuple[Tensor | None, ...]:
    """Return weights, table, harmonics and features, of which the last two may be absent."""
    b, T, y, a, v, t = tensors
    return b, T, y, a, _present(v), _present(t)


def _messages(inputs: Tensors, change: tuple[Tensor | None, ...], edges: Edges) -> tuple[Tensor, Tensor, Tensor]:
    b, rows, T, y, a, v, t = inputs
    tile = _tile(y, a, b.shape[1])
    A, F = len(a), tile["F"]
    num = 5 if tile["D"] == 3 else 0
    out = a.new_empty(A, F), a.new_empty(A, 3, F), a.new_empty(A, num, F)  # (A, F), (A, 3, F), (A, 5, F)
    edge_index, start, order = edges
    run(
        of_messages, (A,), *_given((b, T, y, a, v, t)), *change, rows, edge_index[0], start, order, *out, len(rows),
        **tile,
    )  # fmt: skip
    return out


def aggregate_tensors(
    weights: Tensor, rows: Tensor, table: Tensor, y: Tensor, a: Tensor, v: Tensor, t: Tensor, *edges: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`pyg_nnp.kernels.tensor_reference.aggregate_tensors`."""
    return _messages((weights, rows, table, y, a, v, t), _NOTHING, Edges(*edges))


def tensor_derivatives(g: Tensors, inputs: Tensors, edges: Edges, wanted: tuple[bool, bool, bool, bool]) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.tensor_derivatives`."""
    return _derivatives(g, inputs, _NOTHING, edges, wanted)


def tensor_second_derivatives(
    change: Tensors, g: Tensors, inputs: Tensors, edges: Edges, wanted: tuple[bool, bool, bool]
) -> Tensors:
    """See :func:`pyg_nnp.kernels.tensor_reference.tensor_second_derivatives`."""
    db, dT, *others = change
    changing = db, _present(dT), *others[:2], *map(_present, others[2:])
    return *_derivatives(g, inputs, changing, edges, (*wanted, True)), *_messages(inputs, changing, edges)


def _derivatives(
    g: Tensors, inputs: Tensors, change: tuple[Tensor | None, ...], edges: Edges, wanted: tuple[bool, bool, bool, bool]
) -> Tensors:
    """Return derivatives by weights, table, harmonics and features, or their change."""
    b, rows, T, y, a, v, t = inputs
    edge_index, start, order = edges
    given, tile = (*_given((b, T, y, a, v, t)), *change, *g), _tile(y, a, b.shape[1])
    asked = zip((b, T, y), wanted, strict=False)
    of_b, of_T, of_y = (x.new_empty(len(x) if w else 0, x.shape[1]) for x, w in asked)  # (P, C), (R, D F), (P, 8)
    if wanted[0] or wanted[2]:
        outputs = of_b if wanted[0] else None, of_y if wanted[2] else None
        run(of_pairs, (triton.cdiv(len(b), tile["COUNT"]),), *given, rows, *edge_index, *outputs, len(b), **tile)
    if wanted[1]:
        _of_table(given, rows, edge_index, of_T, tile)
    if not wanted[3]:
        return of_b, of_T, of_y, *(x.new_empty(0, *x.shape[1:]) for x in (a, v, t))  # (0, ...)
    of_a, of_v, of_t = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (a, v, t))
    if tile["D"] == 2:
        of_t.zero_()  # no message has any of it
    features = of_a, _present(of_v), _present(of_t)
    run(of_features, (len(a),), *given, rows, edge_index[0], start, order, *features, len(b), **tile)
    return of_b, of_T, of_y, of_a, of_v, of_t


def _of_table(
    given: tuple[Tensor | None, ...], rows: Tensor, edge_index: Tensor, out: Tensor, tile: dict[str, int]
) -> None:
    """Write the derivatives by the table. Pairs that begin with the same row are together, and done once for all C."""
    C, num_first, size = tile["C"], len(out) - tile["C"] + 1, out.shape[1]
    if C == 1:  # given filters are those of one pair each
        tile = {**tile, "COUNT": 1, "num_warps": 1}
    # rows of a spline are few, and have many pairs each, which some programs share
    parts = min(triton.next_power_of_2(triton.cdiv(len(rows), 4 * tile["COUNT"] * num_first)), 32)
    x = out if C == parts == 1 else out.new_empty(parts, num_first, C, size)  # (PARTS, M, C, D F)
    run(of_rows, (num_first, parts), *given, *edge_index, *sort_keys(rows, num_first), x, **tile)
    if x is not out:
        sizes = {"C": C, "SIZE": size, "WIDTH": triton.next_power_of_2(size), "COUNT": triton.next_power_of_2(C)}
        run(sum_parts, (len(out),), x, out, parts, num_first, **sizes)
