"""A potential as TorchScript, in plain torch with frozen filter tables: energies and charges of atoms."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from pyg_nnp.errors import DataError
from pyg_nnp.layers import LAYERS
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.layers.cores import CORES
from pyg_nnp.layers.energy import EnergyReduce
from pyg_nnp.layers.geometry import Distance
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.wiring import PAIRS, Wiring, filter_tables


class AtomicProperties(nn.Module):
    """Energies and charges of the atoms of one system, by the layers of a potential that these need.

    Args:
        potential: of which it takes a copy.
        with_charges: whether charges are needed, where the potential predicts them.

    Attributes:
        in_cells: whether it takes cells, whose lattice vectors are 0 where it is not periodic.
        reach: pairs that are farther apart do not matter [length].
        not_local: which layers let all atoms of a system matter to each of them, and why; empty where none does.
        interaction_range: atoms that are farther apart do not matter to the energy of an atom; infinite where all atoms
            of a system do [length].

    Raises:
        DataError: a layer cannot be written as TorchScript.
    """

    def __init__(self, potential: Potential, *, with_charges: bool = True) -> None:
        super().__init__()
        own = copy.deepcopy(potential).eval().requires_grad_(False)
        found = [cast(Layer, layer) for layer in own.layers]
        last = max((n for n, layer in enumerate(found) if "E" in layer.writes), default=-1)
        if last < 0 or type(found[last]) is not EnergyReduce:
            what = f"layer {last} ({type(found[last]).__name__}) writes it" if last >= 0 else "there is none"
            raise DataError(f"the energy must be what EnergyReduce writes to be exported, but {what}.")
        self._terms = [name for name in found[last].reads if name not in ("N", "batch")]
        self.has_charges = with_charges and "Qa" in own.outputs
        self._numbers = _needed(found, {*self._terms, *(["Qa"] if self.has_charges else [])})
        layers = [found[number] for number in self._numbers]
        self.layers, self._wiring = nn.ModuleList(layers), Wiring(layers)
        of_cells = (layer for layer in layers if layer.reads_in_cells and type(layer) is not Distance)
        self.in_cells = not self._wiring.not_for_cells and next(of_cells, None) is None
        self.reach, self.dtype = self._wiring.reach, own.dtype
        self.references, self.shift = nn.Buffer(own.atomic_energies), nn.Buffer(own.energy_shift)
        tables = [table.num_networks for layer in layers for table in filter_tables(layer)]
        self.not_local = "; ".join(filter(None, (_not_local(number, layer) for number, layer in self.numbered())))
        is_local = not self.not_local and not float(self.shift)
        self.interaction_range = self.reach * max([1, *tables]) if is_local else math.inf
        for number, layer in zip(self._numbers, layers, strict=True):
            if layer.reach == math.inf and not PAIRS.isdisjoint(layer.reads):
                raise refused(number, layer, "reads pairs at any distance. Let it have a cutoff")

    def forward(
        self, Ra: Tensor, Za: Tensor, Q: Tensor, edge_index: Tensor, cell: Tensor, Tij: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return (A,) energies, float64, and (A,) charges of the atoms of one system; these are 0 if it has none.

        ``Q`` (1,), ``cell`` (1, 3, 3), ``Tij`` (E, 3); the others as in :class:`Potential`.
        """
        fields = self._wiring.run(self.layers, self._inputs(Ra, Za, Q, edge_index, cell, Tij))
        energies = torch.stack([fields[name].double() for name in self._terms]).sum(dim=0)  # (A,)
        energies = energies + self.references.index_select(0, Za) + self.shift / Za.shape[0]
        return energies, fields["Qa"] if self.has_charges else torch.zeros_like(energies)

    def _inputs(self, Ra: Tensor, Za: Tensor, Q: Tensor, edge_index: Tensor, cell: Tensor, Tij: Tensor) -> Fields:
        N, batch = torch.ones_like(Za).sum(dim=0, keepdim=True), torch.zeros_like(Za)  # (1,), (A,)
        inputs = {"Ra": Ra, "Za": Za, "N": N, "Q": Q, "batch": batch, "edge_index": edge_index}
        return inputs | {"cell": cell, "Tij": Tij, "pbc": cell.any(dim=2).long()} if self.in_cells else inputs

    def numbered(self) -> Iterator[tuple[int, Layer]]:
        """Yield the layers with their numbers in the potential."""
        for number, layer in zip(self._numbers, self.layers, strict=True):
            yield number, cast(Layer, layer)

    def read_by_layers(self, inputs: tuple[Tensor, ...]) -> list[dict[str, Any]]:
        """Return the arguments of each layer in a call; none of a layer that is not called."""
        found: dict[nn.Module, dict[str, Any]] = {}
        hooks = [
            layer.register_forward_pre_hook(lambda layer, _, named: found.update({layer: named}), with_kwargs=True)
            for layer in self.layers
        ]
        self(*inputs)
        for hook in hooks:
            hook.remove()
        return [found.get(layer, {}) for layer in self.layers]


def _needed(layers: Sequence[Layer], fields: set[str]) -> list[int]:
    """Return the numbers of the layers that some fields depend on."""
    needed, numbers = set(fields), list[int]()
    for number in reversed(range(len(layers))):
        if not needed.isdisjoint(layers[number].writes):
            needed = needed - {*layers[number].writes} | {*layers[number].reads}
            numbers.insert(0, number)
    return numbers


def _not_local(number: int, layer: Layer) -> str:
    """Say why all atoms of a system may matter to what a layer writes of an atom, if they may."""
    if "batch" in layer.reads:
        return f"layer {number} ({type(layer).__name__}) reads all atoms of a system"
    if type(layer) not in {*LAYERS.values(), *CORES.values()}:
        return f"layer {number} ({type(layer).__name__}) is your own, of which it is not known how far atoms matter"
    return ""


def refused(number: int, layer: Layer, reason: str) -> DataError:
    """Return the error of a layer that cannot be exported, and what to do instead."""
    return DataError(f"layer {number} ({type(layer).__name__}) cannot be exported: it {reason}.")
