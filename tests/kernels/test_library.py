"""Operators as torch sees them."""

import pytest
import torch
from operators import case, check_aggregate, check_coulomb, check_loss_on_forces, molecules


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
