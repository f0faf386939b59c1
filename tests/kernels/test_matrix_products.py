"""Products by oneDNN, which takes over on some processors alone, beside those of torch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pyg_nnp.kernels import linear_operator, matrix_products
from pyg_nnp.kernels.matrix_products import linear, linear_adjoint, sum_of_products

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Multiply by oneDNN on every processor, however small the product; the numbers of rows it is asked for."""
    found: list[int] = []

    def of_library(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        found.append(len(x))
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

    monkeypatch.setattr(matrix_products, "_of_library", lambda: of_library)
    monkeypatch.setattr(matrix_products, "_FEWEST", 0)
    monkeypatch.setattr(matrix_products.is_faster, "__defaults__", (0,))
    monkeypatch.setattr(linear_operator, "_FEWEST", 0)
    monkeypatch.setattr(matrix_products, "_SMALLEST_SUM", 0)
    return found


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR)


GENERATOR = torch.Generator().manual_seed(3)


@pytest.mark.parametrize("shape", [(1408,), (1407,), (37, 3), (64, 5)])
def test_is_what_torch_computes(shape: tuple[int, ...], calls: list[int]) -> None:
    x, W, b = random(*shape, 130), random(40, 130), random(40)
    y = functional.linear(x, W, b)
    with torch.no_grad():
        for found, right in (
            (linear(x, W, b), y),
            (linear(x, W), y - b),
            (linear_adjoint(y, W), y @ W),
            (sum_of_products(y, x), y.flatten(0, -2).mT @ x.flatten(0, -2)),
        ):
            assert found.shape == right.shape
            torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-5 * float(right.abs().max()))
    assert calls


def test_few_sizes_are_multiplied(calls: list[int]) -> None:
    with torch.no_grad():
        for rows in range(1000, 1400):
            linear(random(rows, 130), random(4, 130))
    assert set(calls) == {*range(992, 1024, 32), *range(1024, 1400, 64)}
    calls.clear()
    with torch.no_grad():
        linear(random(1001, 127), random(4, 127))  # a copy of the result would take longer
        linear(random(1024, 127), random(4, 127))
    assert calls == [1024]


def test_a_graph_is_torchs_own(calls: list[int]) -> None:
    x, W = random(1024, 130).requires_grad_(), random(40, 130).requires_grad_()
    linear(x, W).sum().backward()
    torch.testing.assert_close(x.grad, W.detach().sum(dim=0).expand_as(x))
    (linear_adjoint(linear(x, W), W).sum() + sum_of_products(x, x).sum()).backward()
    assert not calls


def test_two_derivatives(calls: list[int]) -> None:
    """The gradient of a loss on slopes, as of forces."""

    def gradients(function: Callable[..., Tensor]) -> list[Tensor]:
        x, W, b = (z.clone().requires_grad_() for z in numbers)
        (slope,) = torch.autograd.grad(function(x, W, b).sin().sum(), x, create_graph=True)
        return [slope, *torch.autograd.grad(slope.square().sum(), (x, W, b))]

    numbers = random(50, 3, 130), random(40, 130) / 10, random(40)
    found = gradients(linear_operator.linear)
    assert len(calls) > 3
    for one, right in zip(found, gradients(functional.linear), strict=True):
        torch.testing.assert_close(one, right, rtol=1e-4, atol=1e-5 * float(right.detach().abs().max()))


def test_double_precision_and_small_products_are_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_products, "_of_library", lambda: pytest.fail("asked for"))
    with torch.no_grad():
        linear(random(1024, 128).double(), random(128, 128).double())
        linear(random(10, 10), random(10, 10))


def test_products_that_are_wrong_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    library = matrix_products._of_library.__wrapped__
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "znver5")
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: {"avx512f": True})
    assert library() is not functional.linear
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: {"avx512f": False})
    assert library() is functional.linear
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: {"avx512f": True})
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "sapphirerapids")
    assert library() is functional.linear
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "znver5")
    monkeypatch.setattr(torch, "allclose", lambda *_, **__: False)
    assert library() is functional.linear
