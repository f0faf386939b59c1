"""Potentials recorded as TorchScript, by ``torch.jit.trace``.

A recording could hold for one number of atoms or pairs alone. So each layer is recorded by itself at first, and what
comes out for other systems is compared with what the layer computes.
"""

import warnings
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from pyg_nnp.functional.neighbor_search import find_edges, find_edges_in_cells
from pyg_nnp.inference.engines.torchscript import AtomicProperties, refused
from pyg_nnp.layers.base import Layer

_TOLERANCE = 1e-4  # relative beyond 1; kernels and plain torch differ by rounding
_SIZES = 5, 8, 2, 1  # atoms of examples, of which the first is recorded


def record(properties: AtomicProperties, elements: Sequence[int]) -> torch.jit.ScriptModule:
    """Return what computes the same as TorchScript, for any number of atoms and pairs of some elements.

    Raises:
        DataError: a layer cannot be recorded, or what is recorded of it holds for one size alone.
    """
    examples = [_example(properties, [elements[n % len(elements)] for n in range(size)]) for size in _SIZES]
    with warnings.catch_warnings(), torch.no_grad():
        # of sizes that could be frozen: whether they are is tried
        warnings.simplefilter("ignore", TracerWarning)
        read = [properties.read_by_layers(example) for example in examples]
        for place, (number, layer) in enumerate(properties.numbered()):
            of_layer = [of_layers[place] for of_layers in read]
            if of_layer[0] and not _is_recordable(_OneLayer(layer), of_layer):
                raise refused(number, layer, "is no TorchScript of any size. Take it out, or write it in plain torch")
        return _recording(properties, examples[0])


def _recording(module: nn.Module, arguments: tuple[Tensor, ...]) -> torch.jit.ScriptModule:
    # it compares one size alone
    traced = torch.jit.trace(module, arguments, check_trace=False)  # type: ignore[no-untyped-call]
    return cast(torch.jit.ScriptModule, traced)


class _OneLayer(nn.Module):
    """A layer with what is no tensor among its arguments, from tensors to tensors."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer
        self.names: list[str] = []
        self.others: dict[str, Any] = {}

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        written = self.layer(**dict(zip(self.names, tensors, strict=True)), **self.others)
        return tuple(written[name] for name in self.layer.writes)


def _is_recordable(one: _OneLayer, read: Sequence[dict[str, Any]]) -> bool:
    """Say whether what is recorded of a layer for the first arguments is right for the others, too."""
    one.names = [name for name, value in read[0].items() if isinstance(value, Tensor)]
    one.others = {name: value for name, value in read[0].items() if name not in one.names}
    tensors = [tuple(arguments[name] for name in one.names) for arguments in read]
    try:
        found = _recording(one, tensors[0])
        return all(_agree(found(*given), one(*given)) for given in tensors)
    except (RuntimeError, TypeError, ValueError):  # what cannot be traced, and sizes that do not fit
        return False


def _agree(found: Sequence[Tensor], right: Sequence[Tensor]) -> bool:
    return all(
        one.shape == other.shape and bool(((one - other).abs() <= _TOLERANCE * (1 + other.abs())).all())
        for one, other in zip(found, right, strict=True)
    )


def _example(properties: AtomicProperties, numbers: Sequence[int]) -> tuple[Tensor, ...]:
    """Return the arguments of a system whose atoms are within reach of some others, in a cell if it may."""
    n, spacing = len(numbers), 0.4 * (properties.reach or 1.0)
    random = torch.Generator().manual_seed(n)
    places = torch.cartesian_prod(*[torch.arange(3)] * 3)[torch.randperm(27, generator=random)[:n]]  # (A, 3)
    Ra = spacing * (places + 0.2 * torch.rand(n, 3, generator=random, dtype=torch.float64))  # (A, 3)
    cell = 3 * spacing * torch.eye(3, dtype=torch.float64)[None] * properties.in_cells  # (1, 3, 3)
    N, reach = torch.tensor([n]), properties.reach
    if properties.in_cells:
        edge_index, Tij = find_edges_in_cells(Ra, N, cell, torch.ones(1, 3), reach)
    else:
        edge_index = find_edges(Ra, N, reach)
        Tij = Ra.new_zeros(edge_index.shape[1], 3)  # (E, 3)
    return Ra, torch.tensor(numbers), torch.ones(1, dtype=properties.dtype), edge_index, cell, Tij
