"""The operators on vectors and symmetric traceless matrices, with two derivatives, for losses on forces.

For the components of matrices see :mod:`pyg_nnp.functional.harmonics`.
"""

from typing import Any, cast

import torch
from torch import Tensor

from pyg_nnp.kernels import reference, tensor_reference
from pyg_nnp.kernels.backend import Cases, Family, Normal, Operator, asked_for, example_edges, fast, refuse, register
from pyg_nnp.kernels.reference import Edges, Filters
from pyg_nnp.kernels.tensor_reference import Tensors


def _cases(normal: Normal, device: torch.device) -> Cases:
    v, t, dv, dt = normal(9, 3, 64), normal(9, 5, 64), normal(9, 3, 64), normal(9, 5, 64)
    c, gates, dc, dg = normal(9, 192), normal(9, 320), normal(9, 192), normal(9, 320)
    return [
        *_aggregations(normal, device, 2, 3),
        ("invariants", (v, t)),
        ("invariants_gradient", (c, v, t)),
        ("invariants_second", (dv, dt, dc, v, t)),
        ("products", (gates, v, t)),
        ("products_gradient", (dv, dt, gates, v, t)),
        ("products_second", (dg, dv, dt, v + dv, t + dt, gates, v, t)),
    ]


def _aggregations(normal: Normal, device: torch.device, degree: int, num_filters: int) -> Cases:
    index = example_edges(device)
    edges = Edges(index, *reference.sort_edges(index, 9))
    rows = torch.tensor([0, 3, 1, 3, 2, 2, 0, 1], device=device)  # (P,)
    components, A_t, width = (3, 0, 0) if degree == 1 else (8, 9, 5)
    y, dy, a, da = *(normal(8, components) for _ in range(2)), *(normal(9, 64 * (degree + 1)) for _ in range(2))
    v, dv, t, dt = normal(9, 3, 64), normal(9, 3, 64), normal(A_t, 5, 64), normal(A_t, 5, 64)
    g = normal(9, 64), normal(9, 3, 64), normal(9, width, 64)
    cases: Cases = []
    b, db, T, dT = normal(8, 6), normal(8, 6), normal(9, 64 * num_filters), normal(9, 64 * num_filters)
    # what the first and later interactions have, of the usual sizes: Triton takes long, and compiles each size anew
    for x, dx in (((v, t), (dv, dt)), ((v[:0], t[:0]), (v[:0], t[:0]))):
        inputs = b, rows, T, y, a, *x
        cases += [
            ("aggregate_tensors", (*inputs, *edges)),
            ("tensor_derivatives", (g, inputs, edges, (True, False, True, False))),
            ("tensor_derivatives", (g, inputs, edges, (True, False, True, True))),
            ("tensor_derivatives", (g, inputs, edges, (False, True, False, True))),
            ("tensor_second_derivatives", ((db, dT, dy, da, *dx), g, inputs, edges, (True, True, True))),
            ("tensor_second_derivatives", ((db, dT[:0], dy, da, *dx), g, inputs, edges, (False, True, False))),
        ]
    return cases


_MODULES = {"cpu": "pyg_nnp.kernels.cpu.tensors", "cuda": "pyg_nnp.kernels.gpu.tensors"}
TENSORS = Family(tensor_reference, _MODULES, _cases)
# aggregation with filters of their own for v and t, for which there are no kernels for CUDA
UNTIED = Family(tensor_reference, {"cpu": _MODULES["cpu"]}, lambda normal, device: _aggregations(normal, device, 1, 3))


def _module(table: Tensor, a: Tensor) -> Any:
    """Return the module that computes the aggregation of features a with filters from a table."""
    return fast(a, TENSORS if table.shape[1] == a.shape[1] else UNTIED)


def aggregate_tensors(
    filters: Filters, y: Tensor, a: Tensor, v: Tensor, t: Tensor, edges: Edges
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Equivariant aggregation, :math:`m^l_i = \sum_{p = (i, j)} w^l_p \circ (y^l_p a^l_j + x^l_j)`.

    Args:
        filters: of P pairs, (L + 1) F numbers each, of the degrees 0 to L, 1 or 2; (2 L + 1) F: untied, the last L F
            numbers are the filters of x in place of those of its degree. There are loops for 3 F numbers.
        y: (P, 3) or (P, 8) harmonics of the pairs, from i to j.
        a: (A, (L + 1) F) features of all degrees.
        v: (A, 3, F) vectors, the x of degree 1; (0, 3, F): none.
        t: (A, 5, F) matrices, the x of degree 2; (0, 5, F): none.
        edges: of the pairs.

    Returns:
        (A, F), (A, 3, F) and (A, 5, F), which is (A, 0, F) where L is 1.
    """
    if filters.table.shape[1] > a.shape[1] and a.device.type not in UNTIED.modules:
        return _by_tied(filters, y, a, v, t, edges)
    module = _module(filters.table, a)
    if module is tensor_reference or not module.supports(filters.table, y, a):  # plain torch has its own derivatives
        return tensor_reference.aggregate_tensors(*filters, y, a, v, t, *edges)
    return cast(tuple[Tensor, Tensor, Tensor], _AGGREGATE(*filters, y, a, v, t, *edges))


def _by_tied(
    filters: Filters, y: Tensor, a: Tensor, v: Tensor, t: Tensor, edges: Edges
) -> tuple[Tensor, Tensor, Tensor]:
    """Aggregate with untied filters by the operator of tied ones, once for a and once for v and t."""
    width, table = a.shape[1], filters.table
    tied = filters._replace(table=table[:, :width])  # (R, (L + 1) F)
    of_x = torch.cat((table[:, : 2 * width - table.shape[1]], table[:, width:]), dim=1)  # (R, (L + 1) F)
    zeroth, first, second = aggregate_tensors(tied, y, a, v[:0], t[:0], edges)
    _, of_v, of_t = aggregate_tensors(filters._replace(table=of_x), y, torch.zeros_like(a), v, t, edges)
    return zeroth, first + of_v, second + of_t


def _aggregate(*arguments: Tensor) -> Tensors:
    return cast(Tensors, _module(arguments[2], arguments[4]).aggregate_tensors(*arguments))


def _first(g0: Tensor, g1: Tensor, g2: Tensor, *rest: Any) -> Tensors:
    inputs, edges, wanted = rest[:7], Edges(*rest[7:10]), rest[10:]
    return cast(Tensors, _module(inputs[2], inputs[4]).tensor_derivatives((g0, g1, g2), inputs, edges, wanted))


def _second(*arguments: Any) -> Tensors:
    change, g, inputs, edges, wanted = (
        arguments[:6], arguments[6:9], arguments[9:16], Edges(*arguments[16:19]), arguments[19:],
    )  # fmt: skip
    return cast(Tensors, _module(inputs[2], inputs[4]).tensor_second_derivatives(change, g, inputs, edges, wanted))


def _empty(inputs: Tensors, wanted: tuple[bool, ...]) -> Tensors:
    weights, _, *others = inputs
    return tuple(torch.empty_like(x if wanted[min(n, 3)] else x[:0]) for n, x in enumerate((weights, *others)))


def _empty_messages(*arguments: Tensor) -> Tensors:
    y, a = arguments[3:5]
    degrees = 2 if y.shape[1] == 3 else 3
    A, F = len(a), a.shape[1] // degrees
    first, second = a.new_empty(A, 3, F), a.new_empty(A, 5 if degrees == 3 else 0, F)  # (A, 3, F), (A, 5, F)
    return a.new_empty(A, F), first, second  # (A, F)


def _empty_second(*arguments: Any) -> Tensors:
    return *_empty(arguments[9:16], (*arguments[19:], True)), *[torch.empty_like(g) for g in arguments[6:9]]


def _of_aggregate(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
    given = zip(cotangents, _empty_messages(*ctx.saved_tensors), strict=True)
    g = [like.zero_() if cotangent is None else cotangent for cotangent, like in given]
    of_b, _, of_T, of_y, *_ = wanted = asked_for(ctx)
    by_b, by_T, by_y, *by_features = _FIRST(*g, *ctx.saved_tensors, of_b, of_T, of_y, any(wanted[4:7]))
    found = by_b, None, by_T, by_y, *by_features
    return *[value if asked else None for value, asked in zip(found, wanted, strict=False)], None, None, None


def _of_first(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
    # positions in the graph: the three g, weights, rows, table, y, a, v, t
    saved = ctx.saved_tensors
    weights, _, table, *others = saved[3:10]
    db, dT, *changes = cotangents
    change = [torch.zeros_like(weights) if db is None else db, table[:0] if dT is None else dT]
    change += [torch.zeros_like(x) if d is None else d for x, d in zip(others, changes, strict=True)]
    wanted = asked_for(ctx)
    of_b, of_T, of_y, *rest = _SECOND(*change, *saved, wanted[3], wanted[5], wanted[6])
    found = *rest[3:], of_b, None, of_T, of_y, *rest[:3]
    return *[value if asked else None for value, asked in zip(found, wanted, strict=False)], *[None] * 7


_GIVEN = (
    "Tensor weights, Tensor rows, Tensor table, Tensor y, Tensor a, Tensor v, Tensor t, "
    "Tensor edge_index, Tensor start, Tensor order"
)
_G, _WANTED = "Tensor g0, Tensor g1, Tensor g2", "bool of_weights, bool of_table, bool of_y"
_SECOND = register(
    "aggregate_tensors_double_backward(Tensor db, Tensor dT, Tensor dy, Tensor da, Tensor dv, Tensor dt, "
    f"{_G}, {_GIVEN}, {_WANTED}) -> ({', '.join(['Tensor'] * 9)})",
    _second,
    _empty_second,
    refuse,
)
_FIRST = register(
    f"aggregate_tensors_backward({_G}, {_GIVEN}, {_WANTED}, bool of_features) -> ({', '.join(['Tensor'] * 6)})",
    _first,
    lambda g0, g1, g2, *rest: _empty(rest[:7], rest[10:]),
    _of_first,
)
_AGGREGATE = register(
    f"aggregate_tensors({_GIVEN}) -> (Tensor, Tensor, Tensor)", _aggregate, _empty_messages, _of_aggregate
)


def invariants(M1: Tensor, M2: Tensor) -> Tensor:
    r"""Return :math:`|M_1|^2 / 3, |M_2|^2 / 5` and :math:`M_1 \cdot T M_1`, with the matrix T of M2.

    Returns:
        (A, 3 F), from (A, 3, F) vectors and (A, 5, F) components of matrices.
    """
    module = fast(M1, TENSORS)
    if module is tensor_reference or M1.shape[2] > module.MOST_FEATURES:
        return tensor_reference.invariants(M1, M2)
    return cast(Tensor, _INVARIANTS(M1, M2))


def products(g: Tensor, M1: Tensor, M2: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return gated sums of vectors and matrices, and of their products.

    .. math:: g_1 M_1 + g_2 T M_1, \qquad g_3 M_2 + g_4 [M_1 M_1^T]_2 + g_5 [T T]_2

    with the matrix T of M2 and :math:`[\cdot]_2` the symmetric traceless part.

    Args:
        g: (A, 5 F) gates.
        M1: (A, 3, F) vectors.
        M2: (A, 5, F) components of matrices.

    Returns:
        (A, 3, F) and (A, 5, F).
    """
    module = fast(M1, TENSORS)
    if module is tensor_reference or M1.shape[2] > module.MOST_FEATURES:
        return tensor_reference.products(g, M1, M2)
    return cast(tuple[Tensor, Tensor], _PRODUCTS(g, M1, M2))


def _operators(name: str, inputs: str, outputs: str, shapes: Operator) -> Operator:
    """Return an operator of the name, with two derivatives: those of ``name``_gradient and ``name``_second."""
    count, given = inputs.count("Tensor"), outputs.count("Tensor")
    places = ", ".join(f"Tensor d{n}" for n in range(count)), ", ".join(f"Tensor y{n}" for n in range(given))
    results = [f"({', '.join(['Tensor'] * n)})" for n in (count, given + count)]

    def computed(suffix: str) -> Operator:
        return lambda *arguments: getattr(fast(arguments[-1], TENSORS), name + suffix)(*arguments)

    def filled(cotangents: Tensors, like: Tensors) -> list[Tensor]:
        pairs = zip(cotangents, like, strict=True)
        return [torch.zeros_like(x) if cotangent is None else cotangent for cotangent, x in pairs]

    def of_first(ctx: Any, *cotangents: Tensor) -> Any:
        return second(*filled(cotangents, ctx.saved_tensors[given:]), *ctx.saved_tensors)

    def of_value(ctx: Any, *cotangents: Tensor) -> Any:
        return first(*filled(cotangents, shapes(*ctx.saved_tensors)), *ctx.saved_tensors)

    def empty(first: int) -> Operator:
        return lambda *arguments: [torch.empty_like(x) for x in arguments[first:]]

    schema = f"{name}_double_backward({places[0]}, {places[1]}, {inputs}) -> {results[1]}"
    second = register(schema, computed("_second"), empty(count), refuse)
    schema = f"{name}_backward({places[1]}, {inputs}) -> {results[0]}"
    first = register(schema, computed("_gradient"), empty(given), of_first)

    def empty_value(*arguments: Tensor) -> Any:
        made = [torch.empty_like(x) for x in shapes(*arguments)]
        return made[0] if given == 1 else made

    return register(f"{name}({inputs}) -> {outputs}", computed(""), empty_value, of_value)


_INVARIANTS = _operators("invariants", "Tensor M1, Tensor M2", "Tensor", lambda M1, M2: [M1.flatten(1)])  # (A, 3 F)
_PRODUCTS = _operators("products", "Tensor g, Tensor M1, Tensor M2", "(Tensor, Tensor)", lambda g, M1, M2: [M1, M2])
