"""Kernels that numba compiles: numbers that are none, threads, processes, vectors."""

from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
import torch
from numba import prange
from operators import PREPARE, USE, case, run_program

from pyg_nnp import kernels
from pyg_nnp.kernels.backend import backend
from pyg_nnp.kernels.cpu.compiler import wide_vectors


def test_not_a_number_stays() -> None:
    filters, x, edges = case(6, 8, torch.float32)
    x[1, 3] = float("nan")
    assert kernels.aggregate(filters, x, edges).isnan().any()
    value, slope = backend("cpu", torch.float32).shifted_softplus(x)
    assert torch.equal(value.isnan(), x.isnan())
    assert torch.equal(slope.isnan(), x.isnan())


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
