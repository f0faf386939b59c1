"""Operators as torch sees them, which kernels are used, and what happens without them."""

import pytest
import torch
from operators import PREPARE, USE, case, check_aggregate, check_coulomb, check_loss_on_forces, molecules, run_program

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
    assert "numba compiles the kernels for torch.float64: up to a minute." in caplog.text


def test_all_derivatives_are_right_where_the_engine_does_not_tell_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch._C, "_will_engine_execute_node")
    check_aggregate(6)
    check_loss_on_forces([30, 30, 30])
    check_coulomb("PhysNet", None)


def test_operators_are_sound() -> None:
    """torch's own checks: nothing changes in place, fake tensors have the right shapes, there are derivatives."""
    filters, x, edges = case(6, 4)
    weights, rows, table = filters
    table, x = table.requires_grad_(), x.requires_grad_()
    q, Ra, start = molecules()
    how = Ra, start, "PhysNet", 5.0, 1.0, 0.0
    for name, arguments in {
        "aggregate": (weights, rows, table, x, *edges),
        "aggregate_backward": (x, weights, rows, table, x.detach(), *edges, True, True, False),
        "aggregate_double_backward": (weights, table[:0], x[:0], x, weights, rows, table, x, *edges, *(True,) * 4),
        "shifted_softplus": (x,),
        "coulomb_potential": (q.requires_grad_(), *how),
        "coulomb_gradient": (q, q.detach(), *how),
        "coulomb_gradient_backward": (Ra, q.detach(), q.detach(), *how, True),
    }.items():
        checks = ("test_schema", "test_autograd_registration", "test_faketensor")
        torch.library.opcheck(getattr(torch.ops.pyg_nnp, name).default, arguments, test_utils=checks)
