"""Functions compiled by numba, and run on as many threads as torch uses."""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import numba
import torch
from numba import types
from numba.extending import intrinsic
from torch import Tensor

log = logging.getLogger(__name__)

# sums may be reordered, but NaN stays NaN, so that a diverged training is noticed
_FAST_MATH = {"contract", "reassoc", "nsz", "arcp"}
Kernel = Callable[..., Any]


def _wide_vectors(context: Any) -> Any:
    """Called in a loop, let it use vectors of 512 bits on processors that have them.

    LLVM by itself takes half of that there, since some processors slow down for wide ones; the matrix products between
    use them in any case.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # the method of llvmlite knows no attributes with values
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate


wide_vectors: Any = intrinsic(_wide_vectors)


def _separate_arrays(context: Any) -> Any:
    """Called in a function, promise that its array arguments do not overlap, so that its loops can be vectorised.

    Whoever calls it has to see to that.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for argument in builder.function.args:
            if str(argument.type) in ("float*", "double*", "i64*"):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.void(), generate


separate_arrays: Any = intrinsic(_separate_arrays)


def _part_of_thread(thread: int, threads: int, num_atoms: int) -> tuple[int, int]:
    """Return where the atoms of a thread begin and end; called in a loop over threads, it is put into it."""
    return thread * num_atoms // threads, (thread + 1) * num_atoms // threads


part_of_thread: Any = numba.njit(inline="always")(_part_of_thread)


def compiled(function: Kernel, parallel: bool = True, fast_math: set[str] = _FAST_MATH) -> Kernel:
    """Return a function that is compiled at its first call, and kept for the next process where that is possible."""
    options: dict[str, Any] = {"parallel": parallel, "fastmath": fast_math, "error_model": "numpy"}
    try:
        kernel: Any = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        _warn_not_kept(f"neither beside {__file__} nor in the user's cache can files be written")
        return cast(Kernel, numba.njit(**options)(function))
    # numba compiles again where the file of the function has changed, but functions of other files are put into it
    with suppress(AttributeError):  # another version of numba may keep it elsewhere
        kernel._cache._cache_file._source_stamp = _source_stamp()
    return cast(Kernel, kernel)


@cache
def _source_stamp() -> tuple[tuple[str, float, int], ...]:
    """Return names, times and sizes of all files that kernels are made from."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((file.name, file.stat().st_mtime, file.stat().st_size) for file in files)


@cache
def _warn_not_kept(reason: str) -> None:
    log.warning(
        "What numba compiles cannot be kept (%s): each command compiles the kernels anew, for up to a minute. "
        "Set NUMBA_CACHE_DIR to a folder that can be written to.",
        reason,
    )


def _start_threads() -> int:
    """Let numba start its threads, which it does but once, and return how many there are at most."""
    threads = torch.get_num_threads()
    most = numba.get_num_threads()
    # they are OpenMP's, and numba has just told torch's OpenMP how many there are to be
    torch.set_num_threads(threads)
    return most


def _keep_memory() -> None:
    """Let arrays of up to 32 MB, once freed, be the memory of the next ones, not be given back to the system each time.

    The C library of Linux does so up to the size of the largest array that was freed: of one that was never written to.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8, device="cpu")


_MOST_THREADS = _start_threads()
_keep_memory()


def num_threads() -> int:
    """Return how many threads kernels run on: those of torch, as far as numba has started as many."""
    return min(torch.get_num_threads(), _MOST_THREADS)


def run(kernel: Kernel, *arguments: Any, threads: int | None = None) -> None:
    """Call a kernel with tensors as arrays, on as many threads as torch uses, or on fewer."""
    numba.set_num_threads(threads or num_threads())
    arrays = [a.detach().contiguous().numpy() if isinstance(a, Tensor) else a for a in arguments]
    try:
        kernel(*arrays)
    except OSError as error:
        # it has been compiled, but the file of it could not be written, and it has not run
        _warn_not_kept(error.strerror or str(error))
        kernel(*arrays)
