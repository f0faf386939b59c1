"""Sums over neighbors by numba against plain torch."""

from itertools import product

import pytest
import torch
from operators import SIZES, assert_same, case, random

from pyg_nnp import kernels
from pyg_nnp.kernels import reference
from pyg_nnp.kernels.backend import backend


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
            assert_same(fast, "derivatives", b, c, m, T, V, x, y, U, edges, wanted)
            assert_same(fast, "derivatives", b, c, m, T, V[:0], x, y, U, edges, wanted)
            assert_same(fast, "derivatives", b, c[:0], m, T, V[:0], x[:0], y, U, edges, wanted)
            assert_same(fast, "derivatives", b, c[:0], m, T, V, x, y, U[:0], edges, wanted)
    finally:
        torch.set_num_threads(before)


def test_same_bits_each_time() -> None:
    filters, x, edges = case(6, 128, torch.float32, [30, 30])
    b, m, T = filters
    results = [
        (
            *backend("cpu", x.dtype).derivatives(b, b, m, T, T, x, x, x, edges, (True,) * 4),
            kernels.aggregate(filters, x, edges),
        )
        for _ in range(5)
    ]
    assert all(torch.equal(a, b) for result in results for a, b in zip(result, results[0], strict=True))
