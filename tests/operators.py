"""Examples for the operators over pairs, and how they are compared."""

import programs
import torch
from torch import Tensor

from pyg_nnp import kernels
from pyg_nnp.kernels import Edges, Filters, reference

SIZES = [5, 1, 3, 2]
INTERACTIONS = [("PhysNet", None), ("SpookyNet", None), ("PhysNet", 3.5), ("SpookyNet", 6.0)]


def random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    seed = 1000 * len(shape) + sum(shape)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def some_pairs(sizes: list[int] = SIZES) -> Tensor:
    """Return all pairs j, i of molecules but some, so that atoms differ in their number of neighbors.

    With them are pairs of an atom and its own image, of which some atoms have two.
    """
    pairs, first = [], 0
    for size in sizes:
        pairs += [(first + j, first + i) for i in range(size) for j in range(i, size) if (i, j) not in ((0, 1), (1, 1))]
        pairs += [(first, first)] if size > 1 else []
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


def check_aggregate(C: int) -> None:
    """With respect to all arguments, and to some alone: what is not asked for is not computed."""
    (weights, rows, table), x, edges = case(C, 3)

    def function(b: Tensor, T: Tensor, x: Tensor) -> Tensor:
        return kernels.aggregate(Filters(b, rows, T), x, edges)

    check_derivatives(function, weights, table, x)
    check_derivatives(lambda b: function(b, table, x), weights)
    check_derivatives(lambda T: function(weights, T, x), table)
    check_derivatives(lambda x: function(weights, table, x), x)
    check_derivatives(lambda b, T: function(b, T, x), weights, table)


def check_loss_on_forces(sizes: list[int]) -> None:
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


def check_coulomb(flavor: str, cutoff_lr: float | None) -> None:
    q, Ra, start = molecules()
    check_derivatives(lambda q, Ra: kernels.coulomb_potential(q, Ra, start, flavor, 5.0, 1.0, cutoff_lr), q, Ra)


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


def run_program(program: str) -> str:
    status, out, err = programs.run(["-c", program])
    assert status == 0, out + err
    return out + err


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
