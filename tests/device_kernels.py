"""How kernels for GPUs are compared with the definition: on a GPU, or, without one, in Triton's interpreter."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
# a function, and its arguments in double precision
Case = tuple[str, tuple[Any, ...]]
# how it was chosen, a precision, and the case
Named = tuple[Any, str, Case]


def moved(value: Any, device: str, dtype: torch.dtype) -> Any:
    if isinstance(value, tuple):
        return tuple(moved(v, device, dtype) for v in value)
    return value.to(device, dtype if value.is_floating_point() else None) if isinstance(value, Tensor) else value


def as_tuple(results: Any) -> tuple[Tensor, ...]:
    return results if isinstance(results, tuple) else (results,)


def check(fast: Any, reference: Any, case: Case, dtype: torch.dtype, device: str) -> None:
    name, arguments = case
    function, on_device = getattr(fast, name), moved(arguments, device, dtype)
    results = as_tuple(function(*on_device))
    if device == "cuda":
        first, graph = [value.clone() for value in results], torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = as_tuple(function(*on_device))
        graph.replay()
        assert all(torch.equal(a, b) for a, b in zip(first, results, strict=True)), "two runs differ"
    # of the same numbers, rounded if they are, in double precision
    expected = as_tuple(getattr(reference, name)(*moved(on_device, "cpu", torch.float64)))
    # second derivatives of the reference itself are off by 2e-5 in single precision
    tolerance = 1e-12 if dtype == torch.float64 else 1e-4 if "backward" in name else 5e-6
    for found, right in zip(results, expected, strict=True):
        assert found.dtype == (dtype if right.is_floating_point() else right.dtype)
        assert found.is_contiguous()
        scale = float(right.abs().max()) if right.numel() else 1.0
        torch.testing.assert_close(found.cpu().to(right.dtype), right, rtol=0, atol=tolerance * scale)


def outcomes(fast: Any, reference: Any, cases: Iterable[Named], device: str) -> dict[str, str]:
    """Return what is wrong with each function for each precision and case."""
    wrong: dict[str, str] = {}
    for option, precision, case in cases:
        try:
            check(fast, reference, case, PRECISIONS[precision], device)
            message = ""
        except Exception as error:
            message = f"{option} {type(error).__name__}: {error}\n"
        key = f"{case[0]} {precision}"
        wrong[key] = wrong.get(key, "") + message
    return wrong


def found_wrong(program: str, compute: Callable[[str], dict[str, str]]) -> dict[str, str]:
    """Return the outcomes on a GPU, or else those that a program prints, which calls :func:`print_outcomes`."""
    if torch.cuda.is_available():
        return compute("cuda")
    # Triton has to know before it is imported
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)


def print_outcomes(compute: Callable[[str], dict[str, str]]) -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    print(json.dumps(compute("cpu")))
