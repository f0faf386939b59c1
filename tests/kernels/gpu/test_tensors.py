"""Kernels for vectors and matrices against the definition: on a GPU, or, without one, in Triton's interpreter."""

import importlib
from collections.abc import Iterator

import pytest
import torch
from device_kernels import PRECISIONS, Case, Named, found_wrong, outcomes, print_outcomes
from torch import Tensor

from pyg_nnp.kernels import reference, tensor_reference

pytest.importorskip("triton")

NUM_ATOMS = 6
# F, C, number of pairs, and of rows that they begin with, degree, and whether there are no vectors and matrices. With
# more features fewer pairs are done at a time, and some programs share a row of the table.
MESSAGES = [(5, 6, 15, 3, 2, False), (5, 1, 15, 3, 2, True), (5, 6, 0, 3, 2, False), (200, 6, 5, 1, 1, False)]
# for each C, what first derivatives are by: weights, table, harmonics; forces and energies need those of the first
WANTED = {
    6: [(True, False, True, False), (True, False, True, True), (False, True, False, True)],
    1: [(True, False, False, True), (False, True, True, False)],
}
PRODUCTS = [1, 40]
NAMES = [
    "aggregate_tensors", "tensor_derivatives", "tensor_second_derivatives", "invariants", "invariants_gradient",
    "invariants_second", "products", "products_gradient", "products_second",
]  # fmt: skip


def message_cases(F: int, C: int, num_pairs: int, num_first: int, degree: int, absent: bool) -> list[Case]:
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        # not contiguous, as some gradients
        return torch.randn(*reversed(shape), generator=random, dtype=torch.float64).permute(
            *reversed(range(len(shape)))
        )

    def some() -> tuple[Tensor, ...]:
        x = [normal(0 if absent else NUM_ATOMS, k, F) for k in (3, 5)]
        b, T, y = (
            normal(num_pairs, C),
            normal(C + num_first - 1, (degree + 1) * F),
            normal(num_pairs, (0, 3, 8)[degree]),
        )
        return b, T, y, normal(NUM_ATOMS, (degree + 1) * F), *x

    # the last atom has no edges, the first of a pair may be either, and two are an atom and its own image
    j = torch.randint(NUM_ATOMS - 1, (num_pairs,), generator=random)
    i = (j + torch.randint(1, NUM_ATOMS - 1, (num_pairs,), generator=random)) % (NUM_ATOMS - 1)
    i[:2] = j[:2]
    edge_index = torch.stack((torch.cat((j, i)), torch.cat((i, j))))
    edges = edge_index, *reference.sort_edges(edge_index, NUM_ATOMS)
    (b, T, *others), change = some(), some()
    inputs = b, torch.randint(num_first, (num_pairs,), generator=random), T, *others
    g = normal(NUM_ATOMS, F), normal(NUM_ATOMS, 3, F), normal(NUM_ATOMS, 5 if degree == 2 else 0, F)
    no_table = change[0], change[1][:0], *change[2:]
    return [
        ("aggregate_tensors", (*inputs, *edges)),
        *[("tensor_derivatives", (g, inputs, edges, wanted)) for wanted in WANTED[C]],
        ("tensor_second_derivatives", (change, g, inputs, edges, (True, True, True))),
        ("tensor_second_derivatives", (no_table, g, inputs, edges, (False, True, False))),
    ]


def product_cases(F: int) -> list[Case]:
    random = torch.Generator().manual_seed(0)

    def normal(k: int) -> Tensor:
        return torch.randn(NUM_ATOMS, F, k, generator=random, dtype=torch.float64).transpose(1, 2)

    c, g, dg = normal(3).flatten(1), normal(5).flatten(1), normal(5).flatten(1)
    v, t, dv, dt, y, z = (normal(k) for k in (3, 5, 3, 5, 3, 5))
    return [
        ("invariants", (v, t)),
        ("invariants_gradient", (c, v, t)),
        ("invariants_second", (dv, dt, c, v, t)),
        ("products", (g, v, t)),
        ("products_gradient", (y, z, g, v, t)),
        ("products_second", (dg, dv, dt, y, z, g, v, t)),
    ]


def named_cases() -> Iterator[Named]:
    for option in MESSAGES:
        # the interpreter is slow
        for precision in PRECISIONS if option == MESSAGES[0] else ["float64"]:
            yield from ((option, precision, case) for case in message_cases(*option))
    for precision in PRECISIONS:
        for F in PRODUCTS:
            yield from (((F,), precision, case) for case in product_cases(F))


def compute(device: str) -> dict[str, str]:
    return outcomes(importlib.import_module("pyg_nnp.kernels.gpu.tensors"), tensor_reference, named_cases(), device)


@pytest.fixture(scope="module")
def wrong() -> dict[str, str]:
    return found_wrong(__file__, compute)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NAMES)
def test_is_what_the_reference_says(wrong: dict[str, str], name: str, precision: str) -> None:
    assert wrong[f"{name} {precision}"] == ""


if __name__ == "__main__":
    print_outcomes(compute)
