"""Kernels that numba compiles: numbers that are none, threads, processes, vectors."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
import torch
from numba import prange
from operators import PREPARE, USE, case, run_program

from pyg_nnp import kernels
from pyg_nnp.kernels.backend import backend
from pyg_nnp.kernels.cpu import compiler
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


FORKED = """
import threading
def whole(n):
    return torch.randn(n, 300).matmul(torch.randn(300, n)).exp().sum()
whole(2000)
right = [value.detach() for value in force()]
def check():
    assert torch.get_num_threads() == 1
    whole(2000)
    for found, expected in zip(force(), right):
        torch.testing.assert_close(found.detach(), expected, rtol=1e-5, atol=1e-6)
    return os.getpid()
def check_loss():
    x = torch.ones(3, 8, requires_grad=True)
    kernels.aggregate(filters, kernels.shifted_softplus(x), edges).square().sum().backward()
    assert x.grad.isfinite().all()
    return os.getpid()
def in_a_fork(function):
    process = os.fork()
    if process == 0:
        try:
            function()
        except BaseException as error:
            print(error, flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
"""


@pytest.mark.parametrize(
    "use",
    [
        "in_a_fork(check)",
        "in_a_fork(lambda: in_a_fork(check))",
        "in_a_fork(check_loss)",
        "thread = threading.Thread(target=in_a_fork, args=(check,)); thread.start(); thread.join()",
        """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert os.getpid() not in pool.starmap(check, [()] * 4)
""",
        """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
with ProcessPoolExecutor(2, get_context("fork")) as pool:
    assert os.getpid() != pool.submit(check).result()
""",
    ],
)
def test_a_forked_process_computes_the_same_by_plain_torch(use: str) -> None:
    """Also where the process that it was forked from has threads of OpenMP, which it has not."""
    said = run_program(PREPARE + "torch.set_num_threads(2)" + USE + FORKED + use + "\ncheck = force()")
    assert "plain torch computes here, on one thread, slower. Start processes with multiprocessing" in said


def test_a_process_forked_before_kernels_ran_has_them() -> None:
    program = """
process = os.fork()
if process == 0:
    from pyg_nnp.kernels.backend import backend
    torch.set_num_threads(2)
    assert backend("cpu", torch.float32).__name__ == "pyg_nnp.kernels.cpu"
    os._exit(torch.get_num_threads() - 2)
assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
"""
    assert "plain torch" not in run_program(PREPARE + "import pyg_nnp.kernels" + program)


KERNEL = """
import numpy
from pyg_nnp.kernels.cpu import compiler
def double(x):
    x *= 2
kernel = compiler.compiled(double, parallel=False)
for _ in range(2):
    numbers = torch.ones(3)
    compiler.run(kernel, numbers)
    assert numbers.tolist() == [2, 2, 2]
"""
NOT_KEPT = re.compile(r"WARNING.*cannot be kept \((.*)\): each command .* Set NUMBA_CACHE_DIR to a folder that can be")


def test_code_that_cannot_be_kept_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program = tmp_path / "program.py"
    program.write_text(PREPARE + KERNEL)
    # the folders that numba would take
    nowhere = {"NUMBA_CACHE_DIR": str(tmp_path / "file"), "HOME": str(tmp_path / "file")}
    locators = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator,UserWideCacheLocator"}
    said = run_file(program, **nowhere, **locators, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert [match[1] for match in NOT_KEPT.finditer(said)] == [
        f"neither beside {compiler.__file__} nor in the user's cache can files be written"
    ]


@pytest.mark.parametrize("limit", [0, 100])  # bytes of a file: its index does not fit
def test_a_full_disk_keeps_no_kernel_from_running(tmp_path: Path, limit: int) -> None:
    program = tmp_path / "program.py"
    full = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    program.write_text(PREPARE + full + KERNEL)
    said = run_file(program, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert [match[1] for match in NOT_KEPT.finditer(said)] == ["File too large"]


def test_code_that_is_kept_is_no_news(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PREPARE + KERNEL)
    assert "cannot be kept" not in run_file(program, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert [*(tmp_path / "cache").rglob("*.nbc")]


def test_code_is_made_again_where_another_file_has_changed(tmp_path: Path) -> None:
    """Functions of other files are put into a kernel, whose own file alone numba looks at."""
    program = tmp_path / "program.py"
    changed = "import os\ncompiler._source_stamp = lambda: (('another.py', float(os.environ['TIME']), 1),)\nkernel ="
    program.write_text(PREPARE + KERNEL.replace("kernel =", changed) + "print(dict(kernel.stats.cache_hits))")
    folder = str(tmp_path / "cache")
    found = [run_file(program, NUMBA_CACHE_DIR=folder, TIME=time).splitlines()[-1] != "{}" for time in "112"]
    assert found == [False, True, False]


def run_file(program: Path, **environment: str) -> str:
    """Run a program from a file, since numba keeps nothing of a program that has none."""
    command = [sys.executable, str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


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
