"""The kernels for GPUs against the definition: on a GPU, or, where there is none, in Triton's interpreter."""

import importlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from pyg_nnp.kernels import reference

pytest.importorskip("triton")

NUM_ATOMS = 9
PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
# F, C, number of pairs: the last are enough for some loops to go round twice
FILTERS = [*product((7,), (1, 6), (0, 40)), *product((128,), (1, 6), (80,))]
# what is given of c, V and U, and with respect to what; first derivatives, those of losses on forces, and all
DERIVATIVES = [("U", "b"), ("U", "T"), ("U", "g"), ("c", "Txg"), ("cU", "bTxg"), ("V", "bx"), ("cVU", "bTxg")]
# more atoms than a block has
LARGE = (33,)
# number of rows, of sums, of columns: more rows than are read at a time, or none
SUMS = [*product((0, 150), (2, 7), (1, 3))]
INTERACTIONS = [
    ((1,), "PhysNet", 6.3),
    *product([(1, 2, 5, 1)], ("PhysNet", "SpookyNet"), (0.0, 6.3)),
    (LARGE, "SpookyNet", 6.3),
]

Case = tuple[str, tuple[Any, ...]]


def filter_cases(F: int, C: int, num_pairs: int) -> list[Case]:
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64)

    # the last two atoms have no edges, the first of a pair may be either, and some are an atom and its own image
    j = torch.randint(NUM_ATOMS - 2, (num_pairs,), generator=random)
    i = (j + torch.randint(NUM_ATOMS - 2, (num_pairs,), generator=random)) % (NUM_ATOMS - 2)
    assert num_pairs == 0 or 2 < int((i == j).sum()) < num_pairs // 2
    edge_index = torch.stack((torch.cat((j, i)), torch.cat((i, j))))
    rows = torch.randint(3, (num_pairs,), generator=random)
    # not contiguous, as some gradients
    b, c, T, V = normal(C, num_pairs).T, normal(num_pairs, C), normal(C + 2, F), normal(C + 2, F)
    x, g, U = normal(F, NUM_ATOMS).T, normal(NUM_ATOMS, F), normal(F, NUM_ATOMS).T
    edges = edge_index, *reference.sort_edges(edge_index, NUM_ATOMS)
    cases: list[Case] = [("sort_edges", (edge_index, NUM_ATOMS)), ("aggregate", (b, rows, T, x, *edges))]
    for given, wanted in DERIVATIVES:
        c_, V_, U_ = (value if name in given else value[:0] for name, value in (("c", c), ("V", V), ("U", U)))
        asked = tuple(name in wanted for name in "bTxg")
        cases.append(("derivatives", (b, c_, rows, T, V_, x, g, U_, edges, asked)))
    return cases


def sum_cases(size: int, num_sums: int, K: int) -> list[Case]:
    random = torch.Generator().manual_seed(0)
    values = torch.randn(K, size, generator=random, dtype=torch.float64).T
    index = torch.randint(num_sums - 1, (size,), generator=random)  # the last sum has no rows
    start, order = reference.sort_edges(torch.stack((index, index)), num_sums)
    return [("sum_rows", (values, index, start, order)), ("sum_rows", (values, index[order], start, order[:0]))]


def coulomb_cases(sizes: tuple[int, ...], flavor: str, cutoff_lr: float) -> list[Case]:
    random = torch.Generator().manual_seed(0)
    start = torch.tensor((0, *sizes)).cumsum(0)
    g, q, u, Ra = torch.randn(8, sum(sizes), generator=random, dtype=torch.float64).split((1, 1, 3, 3))
    interaction = q[0], 3 * Ra.T, start, (flavor, 4.6, 0.9, cutoff_lr)
    cases = [("coulomb_potential", interaction), ("coulomb_gradient", (g[0], *interaction))]
    return cases + [("coulomb_gradient_backward", (u.T, g[0], *interaction, curvature)) for curvature in (True, False)]


def outcome(gpu: Any, name: str, arguments: tuple[Any, ...], dtype: torch.dtype, device: str) -> None:
    def moved(value: Any, device: str, dtype: torch.dtype) -> Any:
        if isinstance(value, tuple):
            return tuple(moved(part, device, dtype) for part in value)
        return value.to(device, dtype if value.is_floating_point() else None) if isinstance(value, Tensor) else value

    def as_tuple(results: Any) -> tuple[Tensor, ...]:
        return results if isinstance(results, tuple) else (results,)

    function, on_device = getattr(gpu, name), moved(tuple(arguments), device, dtype)
    results = function(*on_device)
    if device == "cuda":
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = function(*on_device)
        graph.replay()
    # of the same numbers, rounded if they are, in double precision
    expected = getattr(reference, name)(*moved(moved(tuple(arguments), device, dtype), "cpu", torch.float64))
    # second derivatives of the reference itself are off by 2e-5 in single precision
    tolerance = 1e-12 if dtype == torch.float64 else 1e-4 if "backward" in name else 5e-6
    for found, right in zip(as_tuple(results), as_tuple(expected), strict=True):
        assert found.dtype == (dtype if right.is_floating_point() else right.dtype)
        assert found.is_contiguous()
        scale = float(right.abs().max()) if right.numel() else 1.0
        torch.testing.assert_close(found.cpu().to(right.dtype), right, rtol=0, atol=tolerance * scale)


def outcomes(device: str) -> dict[str, str]:
    """Return what is wrong with each function for each precision and case."""
    gpu = importlib.import_module("pyg_nnp.kernels.gpu")
    makers: list[tuple[Callable[..., list[Case]], list[Any]]] = [
        (filter_cases, FILTERS),
        (sum_cases, SUMS),
        (coulomb_cases, INTERACTIONS),
    ]
    wrong = {}
    for make, options in makers:
        for option, precision in product(options, PRECISIONS):
            if precision == "float32" and option[0] == LARGE:  # the interpreter is slow
                continue
            for name, arguments in make(*option):
                try:
                    outcome(gpu, name, arguments, PRECISIONS[precision], device)
                    message = ""
                except Exception as error:
                    message = f"{option} {type(error).__name__}: {error}\n"
                key = f"{name} {precision}"
                wrong[key] = wrong.get(key, "") + message
    return wrong


@pytest.fixture(scope="module")
def wrong() -> dict[str, str]:
    if torch.cuda.is_available():
        return outcomes("cuda")
    # Triton has to know before it is imported
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    child = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "name",
    [
        "sort_edges",
        "sum_rows",
        "aggregate",
        "derivatives",
        "coulomb_potential",
        "coulomb_gradient",
        "coulomb_gradient_backward",
    ],
)
def test_is_what_the_reference_says(wrong: dict[str, str], name: str, precision: str):
    assert wrong[f"{name} {precision}"] == ""


if __name__ == "__main__":
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    print(json.dumps(outcomes("cpu")))
