"""The operators as torch sees them: registered, with derivatives of their own, and chosen by device."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyg_nnp.kernels.backend import backend

_LIBRARY = torch.library.Library("pyg_nnp", "DEF")  # type: ignore[no-untyped-call]
Operator = Callable[..., Any]


def _tensors(inputs: Sequence[Any], outputs: Any) -> list[Tensor]:
    return [value for value in inputs if isinstance(value, Tensor)]


def register(name: str, function: Operator, fake: Operator, backward: Operator, keep: Operator = _tensors) -> Operator:
    """Make an operator of torch from a function, as ``torch.library.custom_op`` does, but cheap to call.

    What is returned does the same as ``torch.ops.pyg_nnp.<name>``, without the way through the dispatcher.

    Args:
        name: without the name space.
        function: what it computes.
        fake: shapes and types of what it returns.
        backward: its derivative, as of ``torch.autograd.Function``.
        keep: returns what ``backward`` finds in ``ctx.saved_tensors``, from inputs and outputs; by default all inputs.
    """
    library: Any = _LIBRARY
    library.define(name + torch.library.infer_schema(function, mutates_args=()))
    library.impl(name, function, "CompositeExplicitAutograd")
    torch.library.register_fake(f"pyg_nnp::{name}", fake, lib=_LIBRARY)
    operator: Operator = getattr(torch.ops.pyg_nnp, name).default

    def forward(ctx: Any, *inputs: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            outputs = operator(*inputs)
        ctx.save_for_backward(*keep(inputs, outputs))
        ctx.others = [value for value in inputs if not isinstance(value, Tensor)]
        ctx.set_materialize_grads(False)
        return outputs

    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    differentiable: Any = type(f"pyg_nnp_{name}", (torch.autograd.Function,), methods)
    library.impl(name, differentiable.apply, "Autograd")
    apply: Operator = differentiable.apply
    return apply


def asked_for(ctx: Any) -> list[bool]:
    """Say for which inputs the gradient is really asked for in this backward pass.

    ``needs_input_grad`` says that it could be. Forces need no gradients of weights, and a loss none of positions.
    """

    def executes(node: Any) -> bool:
        try:
            return torch._C._will_engine_execute_node(node)
        except (AttributeError, RuntimeError):  # not told for leaves in autograd.grad
            return True

    nodes = ctx.next_functions
    return [node is not None and executes(node) for node, _ in nodes]


def fast(x: Tensor) -> Any:
    """Return the module that computes the operators where x is."""
    return backend(x.device.type, x.dtype)


def refuse(ctx: Any, *_: Tensor | None) -> Any:
    """Raise what the derivative of a second derivative raises."""
    raise NotImplementedError("the operators of pyg_nnp have two derivatives, and a third was asked for")
