"""Operators on vectors and matrices: derivatives by finite differences, and against automatic differentiation."""

import pytest
import torch
from operators import PREPARE, SIZES, check_derivatives, random, run_program, some_pairs
from torch import Tensor

from pyg_nnp import kernels
from pyg_nnp.functional import harmonics
from pyg_nnp.kernels import Edges, Filters, tensor_reference
from pyg_nnp.kernels.backend import Family, backend
from pyg_nnp.kernels.tensor_operators import TENSORS, UNTIED

Example = tuple[tuple[Tensor, ...], Edges]
# the largest degree, and how many filters a pair has: with 1, those of vectors are their own
KINDS = [(1, 3), (2, 3)]


def example(
    C: int, F: int, sizes: list[int] = SIZES, degree: int = 2, filters: int = 3, absent: bool = False
) -> Example:
    """Return weights, rows, table, harmonics, a, v and t, and edges with pairs of an atom and its own image."""
    dtype = torch.float64
    pairs = some_pairs(sizes)
    P, A = pairs.shape[1], sum(sizes)
    rows = torch.arange(P) if C == 1 else torch.arange(P) % 3
    edges = kernels.sort_edges(torch.cat((pairs, pairs.flip(0)), dim=1), A, dtype)
    x = random(0 if absent else A, 3, F), random(0 if absent or degree == 1 else A, 5, F)
    table, y = random(max(P, 8), filters * F), random(P, 3 if degree == 1 else 8)
    return (random(P, C), rows, table, y, random(A, (degree + 1) * F), *x), edges


def flat(messages: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([m.flatten(1) for m in messages], dim=1)


@pytest.mark.parametrize(("degree", "filters"), KINDS)
@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("C", [6, 1])
def test_derivatives_by_finite_differences(C: int, absent: bool, degree: int, filters: int) -> None:
    """With respect to all arguments, and to some alone: what is not asked for is not computed."""
    (b, rows, T, *others), edges = example(C, 2, sizes=[3, 1], degree=degree, filters=filters, absent=absent)

    def function(b: Tensor, T: Tensor, *others: Tensor) -> Tensor:
        return flat(kernels.aggregate_tensors(Filters(b, rows, T), *others, edges))

    y, a, *x = others
    x = [] if absent else x[:degree]
    rest = others[2 + len(x) :]
    check_derivatives(lambda *given: function(*given, *rest), b, T, y, a, *x)
    check_derivatives(lambda b: function(b, T, *others), b)
    check_derivatives(lambda T: function(b, T, *others), T)
    check_derivatives(lambda y, a: function(b, T, y, a, *others[2:]), y, a)


@pytest.mark.parametrize(("degree", "filters"), KINDS)
@pytest.mark.parametrize(("F", "sizes"), [(16, [30, 30, 30]), (16, [90]), (260, [30, 30])])
def test_a_loss_on_forces_as_in_training(F: int, sizes: list[int], degree: int, filters: int) -> None:
    """Only some derivatives are asked for in each pass; through two aggregations, against plain torch."""
    (b, rows, T, y, a, *_), edges = example(6, F, sizes=sizes, degree=degree, filters=filters)

    def gradients(aggregate) -> list[Tensor]:
        weights, table, harmonics, start = (value.clone().requires_grad_() for value in (b, T, y, a))
        bb, none = weights * weights, (a.new_empty(0, 3, F), a.new_empty(0, 5, F))
        s, v, t = aggregate(bb, rows, table.tanh(), harmonics, start, *none)
        t = t if degree == 2 else none[1]
        second = aggregate(bb, rows, table, harmonics.sin(), torch.cat([s.tanh()] * (degree + 1), dim=1), v, t)
        energy = sum(m.square().mean() for m in second if m.numel())
        forces = torch.autograd.grad(energy, (weights, harmonics), create_graph=True)
        loss = sum(force.square().sum() for force in forces) + energy
        return list(torch.autograd.grad(loss, (table, start)))

    fast = gradients(lambda b, m, T, *rest: kernels.aggregate_tensors(Filters(b, m, T), *rest, edges))
    right = gradients(lambda *given: tensor_reference.aggregate_tensors(*given, *edges))
    for found, expected in zip(fast, right, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize(("degree", "filters"), [(1, 3), (2, 5)])
def test_filters_that_are_not_tied_by_those_that_are(
    degree: int, filters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU."""
    monkeypatch.delitem(UNTIED.modules, "cpu")
    test_a_loss_on_forces_as_in_training(8, [12, 9], degree, filters)


@pytest.mark.parametrize("family", [UNTIED, TENSORS])
def test_the_compiled_loops_are_used(family: Family) -> None:
    assert backend("cpu", torch.float32, family) is not tensor_reference


@pytest.mark.parametrize(("degree", "filters"), [(1, 2), (2, 5)])
def test_other_numbers_of_filters_are_for_plain_torch(degree: int, filters: int) -> None:
    inputs, edges = example(6, 8, degree=degree, filters=filters)
    b, rows, T, *others = inputs
    for found, right in zip(
        kernels.aggregate_tensors(Filters(b, rows, T), *others, edges),
        tensor_reference.aggregate_tensors(*inputs, *edges),
        strict=True,
    ):
        assert torch.equal(found, right)


@pytest.mark.parametrize(("degree", "filters"), KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_share_the_atoms(threads: int, degree: int, filters: int) -> None:
    inputs, edges = example(6, 24, sizes=[40, 3, 25], degree=degree, filters=filters)
    g = random(68, 24), random(68, 3, 24), random(68, 5 if degree == 2 else 0, 24)
    change = tuple(random(*x.shape) for x in (inputs[0], *inputs[2:]))
    arguments = {
        "aggregate_tensors": (*inputs, *edges),
        "tensor_derivatives": (g, inputs, edges, (True, True, True, True)),
        "tensor_second_derivatives": (change, g, inputs, edges, (True, True, True)),
    }
    fast, before = backend("cpu", torch.float64, TENSORS), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for name, given in arguments.items():
            right = getattr(tensor_reference, name)(*given)
            for found, expected in zip(getattr(fast, name)(*given), right, strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    finally:
        torch.set_num_threads(before)


def test_a_third_derivative_is_refused() -> None:
    (b, rows, T, y, a, v, t), edges = example(6, 3)
    y, a = y.requires_grad_(), a.requires_grad_()
    value = flat(kernels.aggregate_tensors(Filters(b, rows, T), y, a, v, t, edges)).pow(3).sum()
    (first,) = torch.autograd.grad(value, y, create_graph=True)
    (second,) = torch.autograd.grad(first.pow(2).sum(), a, create_graph=True)
    with pytest.raises(NotImplementedError, match="two derivatives"):
        torch.autograd.grad(second.pow(2).sum(), y)


def test_an_atom_and_its_image_by_hand() -> None:
    """One pair j = i is two edges in opposite directions: vectors of the first degree cancel, all others double."""
    edges = kernels.sort_edges(torch.tensor([[1, 1], [1, 1]]), 2, torch.float64)
    filters = Filters(torch.ones(1, 1).double(), torch.tensor([0]), torch.full((1, 12), 3.0).double())
    y, a, v, t = random(1, 8), random(2, 12), random(2, 3, 4), random(2, 5, 4)
    m0, m1, m2 = kernels.aggregate_tensors(filters, y, a, v, t, edges)
    torch.testing.assert_close(m0[1], 6 * a[1, :4])
    torch.testing.assert_close(m1[1], 6 * v[1])
    torch.testing.assert_close(m2[1], 6 * (y[0, 3:, None] * a[1, None, 8:] + t[1]))
    assert not any(m[0].any() for m in (m0, m1, m2))


def test_filters_of_their_own_by_hand() -> None:
    """One pair, each message from one neighbor: what multiplies harmonics is not what multiplies vectors."""
    edges = kernels.sort_edges(torch.tensor([[0, 1], [1, 0]]), 2, torch.float64)
    w0, w1, own = random(3, 4)
    filters = Filters(torch.ones(1, 1).double(), torch.tensor([0]), torch.cat((w0, w1, own))[None])
    y, a, v = random(1, 3), random(2, 8), random(2, 3, 4)
    m0, m1, m2 = kernels.aggregate_tensors(filters, y, a, v, v.new_empty(0, 5, 4), edges)
    assert m2.shape == (2, 0, 4)
    for j, i, sign in ((0, 1, 1), (1, 0, -1)):
        torch.testing.assert_close(m0[i], w0 * a[j, :4])
        torch.testing.assert_close(m1[i], sign * y[0, :, None] * w1 * a[j, 4:] + own * v[j])


def atoms(F: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Return gates, vectors and matrices of three atoms, one of which has got nothing, as a lone atom."""
    g, M1, M2 = random(3, 5 * F), random(3, 3, F), random(3, 5, F)
    M1[1], M2[1] = 0, 0
    return g, M1, M2


def test_derivatives_of_products() -> None:
    g, M1, M2 = atoms(2)
    check_derivatives(kernels.invariants, M1, M2)
    check_derivatives(lambda *given: flat(kernels.products(*given)), g, M1, M2)
    check_derivatives(lambda g: kernels.products(g, M1, M2)[1], g)


def test_products_are_those_of_plain_torch() -> None:
    """And so are both derivatives, to the last digits."""
    fast = backend("cpu", torch.float64, TENSORS)
    g, M1, M2 = atoms(40)
    dg, d1, d2, y1, y2, c = random(3, 200), *(random(2, 3, k, 40)[n] for n in (0, 1) for k in (3, 5)), random(3, 120)
    arguments = {
        "invariants": (M1, M2),
        "invariants_gradient": (c, M1, M2),
        "invariants_second": (d1, d2, c, M1, M2),
        "products": (g, M1, M2),
        "products_gradient": (y1, y2, g, M1, M2),
        "products_second": (dg, d1, d2, y1, y2, g, M1, M2),
    }
    for name, given in arguments.items():
        found, right = (getattr(module, name)(*given) for module in (fast, tensor_reference))
        pairs = [(found, right)] if isinstance(found, Tensor) else zip(found, right, strict=True)
        for a, b in pairs:
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12, msg=name)


def test_products_by_matrices() -> None:
    """Written out with 3 x 3 matrices, for one atom and one feature."""
    g, M1, M2 = (x[:1] for x in atoms(1))
    T, x = harmonics.matrices(M2)[0, :, :, 0], M1[0, :, 0]
    torch.testing.assert_close(
        kernels.invariants(M1, M2)[0], torch.stack([x @ x / 3, (T * T).sum() / 5, x @ T @ x]), rtol=1e-13, atol=1e-13
    )
    one = torch.eye(3, dtype=torch.float64)
    square, product = torch.outer(x, x), T @ T
    expected = (
        g[0, 2] * T + g[0, 3] * (square - square.trace() * one / 3) + g[0, 4] * (product - product.trace() * one / 3)
    )
    vectors, matrices = kernels.products(g, M1, M2)
    torch.testing.assert_close(vectors[0, :, 0], g[0, 0] * x + g[0, 1] * T @ x)
    torch.testing.assert_close(harmonics.matrices(matrices)[0, :, :, 0], expected)


def test_more_features_than_the_loops_take() -> None:
    g, M1, M2 = atoms(260)
    for found, right in zip(kernels.products(g, M1, M2), tensor_reference.products(g, M1, M2), strict=True):
        assert torch.equal(found, right)
    assert torch.equal(kernels.invariants(M1, M2), tensor_reference.invariants(M1, M2))


FORKED = """
from pyg_nnp import kernels
pairs = torch.tensor([[1, 2, 2], [0, 0, 1]])
edges = kernels.sort_edges(torch.cat((pairs, pairs.flip(0)), dim=1), 3, torch.float64)
random = torch.Generator().manual_seed(0)
b, T, y, a, v, t, g = (
    torch.rand(shape, generator=random, dtype=torch.float64)
    for shape in ((3, 1), (3, 24), (3, 8), (3, 24), (3, 3, 8), (3, 5, 8), (3, 40))
)
def gradient():
    R, start = y.clone().requires_grad_(), a.clone().requires_grad_()
    _, M1, M2 = kernels.aggregate_tensors(kernels.Filters(b, torch.arange(3), T), R, start, v, t, edges)
    energy = kernels.invariants(*kernels.products(g, M1, M2)).square().sum()
    (force,) = torch.autograd.grad(energy, R, create_graph=True)
    return torch.autograd.grad(force.square().sum(), start)[0]
right = gradient()
process = os.fork()
if process == 0:
    os._exit(0 if torch.allclose(gradient(), right, rtol=1e-10) and torch.get_num_threads() == 1 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
"""


def test_a_forked_process_computes_the_same_by_plain_torch() -> None:
    said = run_program(PREPARE + "torch.set_num_threads(2)" + FORKED)
    assert "plain torch computes here, on one thread, slower. Start processes with multiprocessing" in said
