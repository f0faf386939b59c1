"""The operators as torch sees them, with derivatives of their own, and which implementation a device gets."""

import importlib
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from pyg_nnp.kernels import reference

log = logging.getLogger(__name__)

# type of a device -> library that compiles for it, and the variable that says where that keeps what it has compiled
_COMPILERS = {"cpu": ("numba", "NUMBA_CACHE_DIR"), "cuda": ("Triton", "TRITON_CACHE_DIR")}
_PRECISIONS = (torch.float32, torch.float64)
_PATIENCE = 5.0  # s
_FORKED = (
    "This process was forked from one that has used compiled kernels, which do not survive that: plain torch computes "
    "here, on one thread, slower. Start processes with multiprocessing.get_context('spawn') to have them."
)

_LIBRARY = torch.library.Library("pyg_nnp", "DEF")  # type: ignore[no-untyped-call]
Operator = Callable[..., Any]
_is_forked = False

# makes random numbers of a shape; the device
Normal = Callable[..., Tensor]
# names of operators, and arguments that they are compared with plain torch for
Cases = list[tuple[str, tuple[Any, ...]]]


@dataclass(frozen=True, eq=False)
class Family:
    """Operators that are compiled, and compared with plain torch, together, when one of them is first needed.

    Attributes:
        reference: the module that computes them in plain torch.
        modules: type of a device -> module that computes them fast there.
        cases: small examples, from a function that makes random numbers, and a device.
    """

    reference: ModuleType
    modules: Mapping[str, str]
    cases: Callable[[Normal, torch.device], Cases]


def example_edges(device: torch.device) -> Tensor:
    """Return (2, 16) edges of 9 atoms, two of them, and the same reversed, of an atom and its own image."""
    pairs = torch.tensor([[1, 3, 4, 2, 2, 7, 8, 5], [0, 1, 0, 0, 2, 6, 6, 5]], device=device)  # (2, P)
    return torch.cat((pairs, pairs.flip(0)), dim=1)  # (2, 2 P)


def _cases(normal: Normal, device: torch.device) -> Cases:
    start = torch.tensor([0, 5, 6, 9], device=device)
    edges = example_edges(device)
    rows = torch.tensor([0, 3, 1, 3, 2, 2, 0, 1], device=device)  # (P,)
    x, y, z, Ra = normal(9, 40), normal(9, 40), normal(9, 40), 2 * normal(9, 3)
    g, q, u = normal(9), normal(9), normal(9, 3)
    begin, order = reference.sort_edges(edges, len(x))
    cases: Cases = [("sort_edges", (edges, len(x))), ("shifted_softplus", (9 * x,))]
    for C, R in ((6, 9), (1, 4)):
        b, c, T, V = normal(8, C), normal(8, C), normal(R, 40), normal(R, 40)
        cases += [
            ("aggregate", (b, rows, T, x, edges, begin, order)),
            *[
                (
                    "derivatives",
                    (b, c[:0], rows, T, V[:0], x[:0], x, y, (edges, begin, order), (True, by_T, False, True)),
                )
                for by_T in (True, False)
            ],
            ("derivatives", (b, c, rows, T, V, x, y, z, (edges, begin, order), (True, True, True, True))),
        ]
    for flavor, cutoff_lr in (("PhysNet", 0.0), ("SpookyNet", 6.0)):
        interaction = (Ra, start, (flavor, 5.0, 1.0, cutoff_lr))
        cases += [
            ("coulomb_potential", (q, *interaction)),
            ("coulomb_gradient", (g, q, *interaction)),
            ("coulomb_gradient_backward", (u, g, q, *interaction, True)),
        ]
    return cases


PAIRS = Family(reference, {"cpu": "pyg_nnp.kernels.cpu", "cuda": "pyg_nnp.kernels.gpu"}, _cases)


@cache
def backend(device: str, dtype: torch.dtype, family: Family = PAIRS) -> Any:
    """Return the module that computes the operators: the fast one, or plain torch where that is missing or wrong.

    ``device`` is a type, ``cpu`` or ``cuda``.
    """
    reference = family.reference
    if device == "cpu":
        _watch_forks()
    if device not in family.modules or dtype not in _PRECISIONS:
        log.info("There are no fast kernels for %s on %s: plain torch computes the operators.", dtype, device)
        return reference
    if device == "cpu" and _is_forked:
        log.warning(_FORKED)
        return reference
    library, cache_folder = _COMPILERS[device]
    # what was compiled before is there within a second
    notice = threading.Timer(_PATIENCE, log.info, ("%s compiles the kernels for %s: up to a minute.", library, dtype))
    notice.daemon = True
    notice.start()
    try:
        fast = importlib.import_module(family.modules[device])
        with torch.inference_mode(False), torch.enable_grad():
            wrong = _differences(fast, family, torch.device(device), dtype)
    except OSError as error:
        advice = f"Set {cache_folder} to a folder that can be written to."
        log.warning("%s cannot keep what it compiles (%s): plain torch, slower. %s", library, error, advice)
        return reference
    except Exception as error:  # whatever goes wrong in a compiler, training can go on without it
        log.warning("%s does not work here (%s: %s): plain torch, slower.", library, type(error).__name__, error)
        return reference
    finally:
        notice.cancel()
    if wrong:
        log.warning("The kernels of %s differ from plain torch in %s: not used.", library, ", ".join(wrong))
        return reference
    log.debug("The kernels of %s agree with plain torch for %s on %s.", library, dtype, device)
    return fast


@cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    """Go on without threads: those of OpenMP, which torch and numba share, are not there in a forked process.

    torch would wait for them, and numba ends the process.
    """
    global _is_forked
    _is_forked = True
    torch.set_num_threads(1)
    backend.cache_clear()


def fast(x: Tensor, *family: Family) -> Any:
    """Return the module that computes the operators, of another family than that over pairs, where x is.

    Plain torch does where it is recorded as TorchScript, which has no other operators.
    """
    if torch._C._is_tracing():
        return (family or (PAIRS,))[0].reference
    return backend(x.device.type, x.dtype, *family)


def _differences(fast: ModuleType, family: Family, device: torch.device, dtype: torch.dtype) -> list[str]:
    """Return the names of the operators that do not agree with the reference on a small example."""
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).to(device, dtype)

    cases = family.cases(normal, device)
    return sorted({name for name, arguments in cases if not _agree(fast, family.reference, name, arguments)})


def _agree(fast: ModuleType, reference: ModuleType, name: str, arguments: tuple[Any, ...]) -> bool:
    results = getattr(fast, name)(*arguments), getattr(reference, name)(*arguments)
    found, right = (result if isinstance(result, tuple) else (result,) for result in results)
    return all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(found, right, strict=True))


def register(
    schema: str, function: Operator, fake: Operator, backward: Operator, keep: Operator | None = None
) -> Operator:
    """Make an operator of torch from a function, as ``torch.library.custom_op`` does, but cheap to call.

    What is returned does the same as ``torch.ops.pyg_nnp.<name>``, without the way through the dispatcher.

    ``fake`` returns tensors of the shapes and types of what ``function`` does, ``backward`` is its derivative, as of
    ``torch.autograd.Function``, and ``keep`` returns from the outputs what that finds in ``ctx.saved_tensors``: by
    default it is all inputs.
    """
    library: Any = _LIBRARY
    library.define(schema)
    name = schema.partition("(")[0]
    library.impl(name, function, "CompositeExplicitAutograd")
    # torch.library.register_fake would do the same, after it has looked up all source files that are imported
    library.impl(name, fake, "Meta")
    operator: Operator = getattr(torch.ops.pyg_nnp, name).default

    def forward(ctx: Any, *inputs: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            outputs = operator(*inputs)
        ctx.save_for_backward(*(keep(outputs) if keep else [v for v in inputs if isinstance(v, Tensor)]))
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

    return [node is not None and executes(node) for node, _ in ctx.next_functions]


def refuse(ctx: Any, *_: Tensor | None) -> Any:
    """Raise what the derivative of a second derivative raises."""
    raise NotImplementedError("the operators of pyg_nnp have two derivatives, and a third was asked for")
