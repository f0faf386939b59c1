"""Which kernels are used, and what happens without them."""

import pytest
import torch
from operators import PREPARE, USE, run_program

from pyg_nnp.kernels import reference
from pyg_nnp.kernels.backend import backend


def test_without_numba_plain_torch_runs_and_says_so() -> None:
    with_numba = run_program(PREPARE + USE)
    without = run_program(PREPARE + "sys.modules['numba'] = None" + USE)
    assert "numba does not work here" in without
    assert "numba does not work here" not in with_numba
    assert without.splitlines()[-1] == with_numba.splitlines()[-1]


def test_wrong_kernels_are_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    from pyg_nnp.kernels import cpu

    right = cpu.aggregate
    monkeypatch.setattr(cpu, "aggregate", lambda *arguments: 1.001 * right(*arguments))
    assert backend.__wrapped__("cpu", torch.float64) is reference
    assert "differ from plain torch in aggregate" in caplog.text


def test_a_compilation_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    backend.__wrapped__("cpu", torch.float64)
    assert "compiles" not in caplog.text
    # as if it took longer
    monkeypatch.setattr("pyg_nnp.kernels.backend._PATIENCE", 0.0)
    backend.__wrapped__("cpu", torch.float64)
    assert "numba compiles the kernels for torch.float64, once: up to a minute." in caplog.text
