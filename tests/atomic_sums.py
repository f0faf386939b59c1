"""Which sums would be atomic additions on a GPU, in an order that depends on timing."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_ALWAYS = ("aten::index_reduce", "aten::put", "aten::histc", "aten::cumsum", "aten::_embedding_bag")
_AT_INDEX = ("aten::index_add", "aten::scatter_add", "aten::scatter_reduce")


class AtomicSums(TorchDispatchMode):
    """Collects the operators that add floating-point numbers at an index which occurs twice, in ``found``.

    Those of PyTorch that are not deterministic on CUDA by the list of ``torch.use_deterministic_algorithms``, as far as
    they may occur. It does not look into operators of pyg_nnp, which are ``used``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.used: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name: str = func.overloadpacket._qualified_op_name
        if name.startswith("pyg_nnp::"):
            self.used.add(name.removeprefix("pyg_nnp::"))
        is_number = bool(args) and isinstance(args[0], Tensor) and args[0].is_floating_point()
        if is_number and (name.startswith(_ALWAYS) or (name.startswith(_AT_INDEX) and _is_shared(*args))):
            self.found.add(f"{name.removeprefix('aten::')} {tuple(args[0].shape)}")
        return func(*args, **(kwargs or {}))


def _is_shared(into: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str = "sum", *_: Any) -> bool:
    """Return whether two rows are added up at one place; whichever is the largest is so in any order."""
    places = index.reshape(len(index), -1)[:, 0]
    return reduce not in ("amax", "amin") and len(places.unique()) < len(places)
