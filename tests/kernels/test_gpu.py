"""The kernels for GPUs against the definition: on a GPU, or, where there is none, in Triton's interpreter."""

import importlib
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
import torch
from device_kernels import PRECISIONS, Case, Named, found_wrong, outcomes, print_outcomes
from torch import Tensor

from pyg_nnp.kernels import reference

pytest.importorskip("triton")

NUM_ATOMS = 9
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


def named_cases() -> Iterator[Named]:
    makers: list[tuple[Callable[..., list[Case]], list[Any]]] = [
        (filter_cases, FILTERS),
        (sum_cases, SUMS),
        (coulomb_cases, INTERACTIONS),
    ]
    for make, options in makers:
        for option, precision in product(options, PRECISIONS):
            if precision == "float32" and option[0] == LARGE:  # the interpreter is slow
                continue
            yield from ((option, precision, case) for case in make(*option))


def compute(device: str) -> dict[str, str]:
    return outcomes(importlib.import_module("pyg_nnp.kernels.gpu"), reference, named_cases(), device)


@pytest.fixture(scope="module")
def wrong() -> dict[str, str]:
    return found_wrong(__file__, compute)


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
    print_outcomes(compute)
