"""The operators: derivatives by finite differences, fast kernels against plain torch, and what happens without them."""

import subprocess
import sys
from itertools import product
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
import torch
from numba import prange
from torch import Tensor

from pyg_nnp import kernels
from pyg_nnp.kernels import Edges, Filters, reference
from pyg_nnp.kernels.backend import backend
from pyg_nnp.kernels.cpu.compiler import wide_vectors

SIZES = [5, 1, 3, 2]
INTERACTIONS = [("PhysNet", None), ("SpookyNet", None), ("PhysNet", 3.5), ("SpookyNet", 6.0)]


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    seed = 1000 * len(shape) + sum(shape)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def some_pairs(sizes: list[int] = SIZES) -> Tensor:
    """Return all pairs j, i of molecules but some, so that atoms differ in their number of neighbours."""
    pairs, first = [], 0
    for size in sizes:
        pairs += [(first + j, first + i) for i in range(size) for j in range(i + 1, size) if (i, j) != (0, 1)]
        first += size
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T


def case(C: int, F: int, dtype: torch.dtype = torch.float64, sizes: list[int] = SIZES) -> tuple[Filters, Tensor, Edges]:
    pairs = some_pairs(sizes)
    count = pairs.shape[1]
    rows = torch.arange(count) if C == 1 else torch.arange(count) % 3
    filters = Filters(random(count, C, dtype=dtype), rows, random(max(count, 8), F, dtype=dtype))
    edges = kernels.sort_edges(torch.cat((pairs, pairs.flip(0)), dim=1), sum(sizes), dtype)
    return filters, random(sum(sizes), F, dtype=dtype), edges


def check_derivatives(function, *inputs: Tensor) -> None:
    inputs = tuple(value.clone().requires_grad_() for value in inputs)
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@pytest.mark.parametrize("C", [6, 1, 2])
def test_derivatives_over_pairs(C: int) -> None:
    """With respect to all arguments, and to some alone: what is not asked for is not computed."""
    (weights, rows, table), x, edges = case(C, 3)

    def function(b: Tensor, T: Tensor, x: Tensor) -> Tensor:
        return kernels.aggregate(Filters(b, rows, T), x, edges)

    check_derivatives(function, weights, table, x)
    check_derivatives(lambda b: function(b, table, x), weights)
    check_derivatives(lambda T: function(weights, T, x), table)
    check_derivatives(lambda x: function(weights, table, x), x)
    check_derivatives(lambda b, T: function(b, T, x), weights, table)


@pytest.mark.parametrize("sizes", [[30, 30, 30], [90]])
def test_derivatives_of_a_loss_on_forces(sizes: list[int]) -> None:
    """As in training, where only some derivatives are asked for in each pass, against plain torch."""
    (weights, rows, table), x, edges = case(6, 16, sizes=sizes)

    def gradients(aggregate) -> list[Tensor]:
        b, T, start = (value.clone().requires_grad_() for value in (weights, table, x))
        first = aggregate(b * b, rows, T * T, start, *edges)
        second = aggregate(b * b, rows, T, first.tanh(), *edges)
        (force,) = torch.autograd.grad(second.square().sum(), b, create_graph=True)
        return list(torch.autograd.grad(force.square().sum(), (T, start)))

    fast = gradients(lambda b, m, T, x, *edges: kernels.aggregate(Filters(b, m, T), x, Edges(*edges)))
    for found, right in zip(fast, gradients(reference.aggregate), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-10 * float(right.abs().max()))


def molecules(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Return charges, positions and first atoms; distances lie in all regions of the damping."""
    start = torch.tensor([0, *SIZES]).cumsum(0)
    return random(sum(SIZES), dtype=dtype), 1.5 * random(sum(SIZES), 3, dtype=dtype), start


@pytest.mark.parametrize(("flavor", "cutoff_lr"), INTERACTIONS)
def test_derivatives_of_coulomb(flavor: str, cutoff_lr: float | None) -> None:
    q, Ra, start = molecules()
    check_derivatives(lambda q, Ra: kernels.coulomb_potential(q, Ra, start, flavor, 5.0, 1.0, cutoff_lr), q, Ra)


def test_all_derivatives_are_right_where_the_engine_does_not_tell_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch._C, "_will_engine_execute_node")
    test_derivatives_over_pairs(6)
    test_derivatives_of_a_loss_on_forces([30, 30, 30])
    test_derivatives_of_coulomb("PhysNet", None)


def test_a_third_derivative_is_refused() -> None:
    (weights, rows, table), x, edges = case(6, 3)
    b, x = weights.requires_grad_(), x.requires_grad_()
    value = kernels.aggregate(Filters(b, rows, table), x, edges).pow(3).sum()
    (first,) = torch.autograd.grad(value, b, create_graph=True)
    (second,) = torch.autograd.grad(first.pow(2).sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="two derivatives"):
        torch.autograd.grad(second.pow(2).sum(), b)


def assert_same(fast, name: str, *arguments: object) -> None:
    """Compare with plain torch; sums of many terms differ by rounding, relative to the largest."""
    found, right = (getattr(module, name)(*arguments) for module in (fast, reference))
    if isinstance(found, Tensor):
        found, right = (found,), (right,)
    for a, b in zip(found, right, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if a.numel():
            scale = 1 + float(b.abs().max())
            assert float((a - b).abs().max()) <= scale * (3e-6 if a.dtype == torch.float32 else 1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("C", "F"), [(6, 128), (6, 1), (1, 7), (3, 20)])
@pytest.mark.parametrize("sizes", [SIZES, [1, 1], [30]])
@pytest.mark.parametrize("threads", [1, 2])
def test_numba_agrees_over_pairs(dtype: torch.dtype, C: int, F: int, sizes: list[int], threads: int) -> None:
    fast = backend("cpu", dtype)
    assert fast is not reference
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        filters, x, edges = case(C, F, dtype, sizes)
        y = random(*x.shape, dtype=dtype) - 0.3
        assert_same(fast, "sort_edges", edges.edge_index, len(x))
        assert_same(fast, "aggregate", *filters, x, *edges)
        b, m, T = filters
        c, V, U = random(*b.shape, dtype=dtype) + 0.1, random(*T.shape, dtype=dtype) + 0.1, y + 0.2
        for wanted in product([True, False], repeat=4):
            assert_same(fast, "derivatives", b, c, m, T, V, x, y, U, *edges, wanted)
            assert_same(fast, "derivatives", b, c, m, T, V[:0], x, y, U, *edges, wanted)
            assert_same(fast, "derivatives", b, c[:0], m, T, V[:0], x[:0], y, U, *edges, wanted)
            assert_same(fast, "derivatives", b, c[:0], m, T, V, x, y, U[:0], *edges, wanted)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("flavor", "cutoff_lr"), INTERACTIONS)
def test_numba_agrees_in_coulomb(dtype: torch.dtype, flavor: str, cutoff_lr: float | None) -> None:
    fast, (q, Ra, start) = backend("cpu", dtype), molecules(dtype)
    g, u = random(len(q), dtype=dtype) + 0.2, random(len(q), 3, dtype=dtype) + 0.1
    how = Ra, start, flavor, 5.0, 1.0, cutoff_lr or 0.0
    assert_same(fast, "coulomb_potential", q, *how)
    assert_same(fast, "coulomb_gradient", g, q, *how)
    assert_same(fast, "coulomb_gradient_backward", u, g, q, *how, True)
    assert fast.coulomb_gradient_backward(u, g, q, *how, False)[2].shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numba_agrees_in_softplus(dtype: torch.dtype) -> None:
    x = torch.cat((torch.linspace(-130, 130, 10007), torch.linspace(-1, 1, 10001), torch.tensor([0.0, -1e30, 1e30])))
    value, slope = backend("cpu", dtype).shifted_softplus(x.to(dtype)[None])
    true_value, true_slope = reference.shifted_softplus(x.to(dtype).double()[None])
    unit = torch.finfo(dtype).eps
    assert bool(((value - true_value).abs() <= 2 * unit * (1 + true_value.abs())).all())
    # small ones are small with a relative error: they carry the gradient where the function is flat
    assert bool(((slope - true_slope).abs() <= (1e-37 + 4 * unit * true_slope)).all())


def test_derivatives_of_softplus() -> None:
    x = 3 * random(4, 5)
    check_derivatives(kernels.shifted_softplus, x)
    x.requires_grad_()

    def value_and_slope(x: Tensor) -> Tensor:
        value = kernels.shifted_softplus(x)
        return value + torch.autograd.grad(value.sum(), x, create_graph=True)[0].square()

    # of both at once, as of a loss on energies and forces
    assert torch.autograd.gradcheck(value_and_slope, x)
    # any number of them
    assert torch.autograd.gradgradcheck(
        lambda x: torch.autograd.grad(kernels.shifted_softplus(x).sum(), x, create_graph=True)[0], x
    )


def test_not_a_number_stays() -> None:
    filters, x, edges = case(6, 8, torch.float32)
    x[1, 3] = float("nan")
    assert kernels.aggregate(filters, x, edges).isnan().any()
    value, slope = backend("cpu", torch.float32).shifted_softplus(x)
    assert torch.equal(value.isnan(), x.isnan())
    assert torch.equal(slope.isnan(), x.isnan())


def test_same_bits_each_time() -> None:
    filters, x, edges = case(6, 128, torch.float32, [30, 30])
    b, m, T = filters
    results = [
        (
            *backend("cpu", x.dtype).derivatives(b, b, m, T, T, x, x, x, *edges, (True,) * 4),
            kernels.aggregate(filters, x, edges),
        )
        for _ in range(5)
    ]
    assert all(torch.equal(a, b) for result in results for a, b in zip(result, results[0], strict=True))


def test_operators_are_sound() -> None:
    """torch's own checks: nothing changes in place, fake tensors have the right shapes, there are derivatives."""
    filters, x, edges = case(6, 4)
    weights, rows, table = filters
    table, x = table.requires_grad_(), x.requires_grad_()
    q, Ra, start = molecules()
    how = Ra, start, "PhysNet", 5.0, 1.0, 0.0
    for name, arguments in {
        "aggregate": (weights, rows, table, x, *edges),
        "aggregate_backward": (x, weights, rows, table, x.detach(), *edges, True, True, False),
        "aggregate_double_backward": (weights, table[:0], x[:0], x, weights, rows, table, x, *edges, *(True,) * 4),
        "shifted_softplus": (x,),
        "coulomb_potential": (q.requires_grad_(), *how),
        "coulomb_gradient": (q, q.detach(), *how),
        "coulomb_gradient_backward": (Ra, q.detach(), q.detach(), *how, True),
    }.items():
        checks = ("test_schema", "test_autograd_registration", "test_faketensor")
        torch.library.opcheck(getattr(torch.ops.pyg_nnp, name).default, arguments, test_utils=checks)


def run_program(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


PREPARE = """
import logging, os, sys, torch
logging.basicConfig(level=logging.INFO)
"""
USE = """
from pyg_nnp import kernels
pairs = torch.tensor([[1, 2, 2], [0, 0, 1]])
edges = kernels.sort_edges(torch.cat((pairs, pairs.flip(0)), dim=1), 3, torch.float32)
filters = kernels.Filters(torch.ones(3, 1), torch.arange(3), torch.ones(3, 8))
def force():
    x = torch.ones(3, 8, requires_grad=True)
    R = torch.eye(3, requires_grad=True)
    V = kernels.coulomb_potential(torch.ones(3), R, torch.tensor([0, 3]), "PhysNet", 1.0, 1.0, None)
    A = kernels.aggregate(filters, x, edges).square().sum() + V.sum()
    return torch.autograd.grad(A, (x, R), create_graph=True)
print([round(float(value.sum()), 6) for value in force()], float(force()[1].detach().abs().sum()))
"""


def test_without_numba_plain_torch_runs_and_says_so() -> None:
    with_numba = run_program(PREPARE + USE)
    without = run_program(PREPARE + "sys.modules['numba'] = None" + USE)
    assert "numba does not work here" in without
    assert "numba does not work here" not in with_numba
    assert without.splitlines()[-1] == with_numba.splitlines()[-1]


def test_wrong_kernels_are_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    from pyg_nnp.kernels import cpu

    right = cpu.aggregate
    monkeypatch.setattr(cpu, "aggregate", lambda *arguments: 1.001 * right(*arguments))
    assert backend.__wrapped__("cpu", torch.float64) is reference
    assert "differ from plain torch in aggregate" in caplog.text


def test_a_compilation_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    backend.__wrapped__("cpu", torch.float64)
    assert "compiles" not in caplog.text
    # as if it took longer
    monkeypatch.setattr("pyg_nnp.kernels.backend._PATIENCE", 0.0)
    backend.__wrapped__("cpu", torch.float64)
    assert "numba compiles the kernels for torch.float64, once: up to a minute." in caplog.text


def test_threads_of_torch_stay_as_they_are() -> None:
    run_program(PREPARE + "torch.set_num_threads(1)" + USE + "assert torch.get_num_threads() == 1")


def test_a_forked_process_lives_after_a_kernel_ran() -> None:
    """A loader process that only handles data, as all do."""
    program = """
pid = os.fork()
if pid == 0:
    total = torch.randn(100, 100).sum()
    os._exit(0 if total.isfinite() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
force()
"""
    run_program(PREPARE + "torch.set_num_threads(2)" + USE + program)


def test_loops_use_the_widest_vectors_there_are() -> None:
    def double(x: Any) -> None:
        for i in prange(len(x)):
            wide_vectors()
            x[i] *= 2

    kernel = numba.njit(parallel=True)(double)
    numbers = np.arange(1000, dtype=np.float32)
    kernel(numbers)
    np.testing.assert_array_equal(numbers, 2 * np.arange(1000))
    is_wide = "zmm" in kernel.inspect_asm(kernel.signatures[0])
    assert is_wide == llvm.get_host_cpu_features().get("avx512f", False)
