"""How fields go from layer to layer: checked when a potential is built, and followed when it predicts."""

import inspect
import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

from torch import nn

from pyg_nnp.errors import FieldError, did_you_mean
from pyg_nnp.fields import INPUTS, TARGETS
from pyg_nnp.layers.base import Fields, Layer, RadialBasis
from pyg_nnp.layers.filter_table import FilterTable

# what there is of all pairs, whatever their distance
PAIRS = frozenset({"edge_index", "pair_index", "Vij", "Dij"})


class Wiring:
    """What follows from the declarations of some layers, whose filter tables get to know their radial basis.

    Attributes:
        differentiated: fields with respect to which derivatives are taken.
        bases: number of a layer with filter tables -> number of the radial basis that it gets in place of ``rbf``.
        skipped: numbers of radial bases whose values at the pairs nobody reads.
        reach: pairs that are farther apart do not matter to any layer [length].
        not_for_cells: why what some layers compute has no meaning in a periodic cell, or is left out there; or empty.
        not_for_slabs: likewise in a cell that is not periodic in all directions.
        not_for_wires: likewise in a cell that is periodic in one direction alone.

    Raises:
        FieldError: the layers do not fit together.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        check_wiring(layers)
        self.bases = bases = _bases(layers)
        for number, layer in enumerate(layers):
            for table in filter_tables(layer):
                table.bind(cast(RadialBasis, layers[bases[number]]) if number in bases else None)
        self.differentiated = frozenset(name for layer in layers for name in layer.differentiates)
        self.skipped = frozenset(basis for basis in bases.values() if not _is_read(layers, basis, bases))
        self.reach = max((layer.reach for layer in layers if _reads_pairs(layer)), default=0.0)
        self.not_for_cells = _not_for_cells(layers)
        slabs = (f"{_named(n, layer)} {layer.not_in_slabs}" for n, layer in enumerate(layers) if layer.not_in_slabs)
        wires = (f"{_named(n, layer)} {layer.not_in_wires}" for n, layer in enumerate(layers) if layer.not_in_wires)
        self.not_for_slabs, self.not_for_wires = next(slabs, ""), next(wires, "")

    def run(self, layers: Iterable[nn.Module], inputs: Fields, initialise: bool = False) -> Fields:
        """Let the layers write their fields, one after the other, and return inputs and what was written.

        With ``initialise``, parameters of each are suited to what it reads before.

        Raises:
            FieldError: a layer does not return what it declares.
        """
        modules = [cast(Layer, module) for module in layers]
        fields = self._leaves(inputs)
        for number, layer in enumerate(modules):
            if number in self.skipped:
                continue
            names = (*layer.reads, *layer.reads_in_cells) if "cell" in fields else layer.reads
            arguments: dict[str, Any] = {name: fields[name] for name in names if name in fields}
            if number in self.bases:
                arguments["rbf"] = modules[self.bases[number]]
            # what is differentiated depends on nothing else that is, so that derivatives are partial ones
            arguments = arguments if self.differentiated.isdisjoint(layer.writes) else self._leaves(arguments)
            if initialise:
                layer.initialise(**arguments)
            written: Any = layer(**arguments)
            if not isinstance(written, dict) or written.keys() != set(layer.writes):
                returned = sorted(written) if isinstance(written, dict) else f"a {type(written).__name__}"
                raise FieldError(
                    f"layer {number} ({type(layer).__name__}) returned {returned}, "
                    f"but declares that it writes {sorted(layer.writes)}. Let forward return a dict of exactly these."
                )
            fields |= written
        return fields

    def _leaves(self, fields: Fields) -> Fields:
        return {n: v.detach().requires_grad_() if n in self.differentiated else v for n, v in fields.items()}


def derived_from(name: str, layers: Iterable[nn.Module]) -> set[str]:
    """Return a field and all that some layers make of it, by what they declare."""
    found = {name}
    for module in layers:
        layer = cast(Layer, module)
        if not found.isdisjoint(layer.reads):
            found |= set(layer.writes)
    return found


def blind_to(name: str, layers: Iterable[nn.Module], outputs: Iterable[str]) -> tuple[str, ...]:
    """Return the labels among the outputs of layers that are predicted without any use of an input."""
    derived = derived_from(name, layers)
    return tuple(label for label in outputs if label in TARGETS and label not in derived)


def filter_tables(module: nn.Module) -> list[FilterTable]:
    """Return the filter tables of a layer or a potential."""
    return [part for part in module.modules() if isinstance(part, FilterTable)]


def _bases(layers: Sequence[Layer]) -> dict[int, int]:
    """Return number of a layer with filter tables -> number of the radial basis that writes the ``rbf`` it reads."""
    found: dict[int, int] = {}
    written: dict[str, int] = {}
    for number, layer in enumerate(layers):
        source = written.get("rbf")
        if source is not None and "rbf" in layer.reads and filter_tables(layer):
            basis = layers[source]
            # an own forward may take more than the distance
            is_function = isinstance(basis, RadialBasis) and type(basis).forward is RadialBasis.forward
            # the distances are still those that it was written from
            if is_function and basis.reads == ("Dij_sr",) and written["Dij_sr"] < source:
                found[number] = source
        written |= dict.fromkeys(layer.writes, number)
    return found


def _is_read(layers: Sequence[Layer], source: int, bases: dict[int, int]) -> bool:
    following = enumerate(layers[source + 1 :], source + 1)
    return any("rbf" in layer.reads and bases.get(number) != source for number, layer in following)


def _not_for_cells(layers: Sequence[Layer]) -> str:
    for number, layer in enumerate(layers):
        where = _named(number, layer)
        if layer.not_in_cells:
            return f"{where} {layer.not_in_cells}"
        if "Ra" in layer.reads and "cell" not in layer.reads_in_cells and "Vij" not in layer.reads:
            return (
                f"{where} reads the positions, but not the cell: it would leave out all periodic images. Take it out, "
                "or replace it by one that works with the vectors of the pairs, Vij"
            )
        if _reads_pairs(layer) and layer.reach == math.inf:
            return (
                f"{where} reads pairs at any distance, of which there are infinitely many. Let it have a cutoff, and "
                "say so in its attribute reach"
            )
    return ""


def _reads_pairs(layer: Layer) -> bool:
    return not PAIRS.isdisjoint((*layer.reads, *layer.reads_in_cells))


def _named(number: int, layer: Layer) -> str:
    return f"layer {number} ({type(layer).__name__})"


def check_wiring(layers: Sequence[Layer], places: Sequence[str] | None = None) -> None:
    """Check that every field is written before it is read, and that no input is overwritten.

    ``places`` is what to call the place of each layer in messages; by default its number.

    Raises:
        FieldError: it is not so.
    """
    known = list(INPUTS)
    differentiated = {name for layer in layers for name in layer.differentiates}
    for number, layer in enumerate(layers):
        where = f"{places[number] if places else f'layer {number}'} ({type(layer).__name__})"
        _check_declaration(layer, where)
        if "Ra" in layer.differentiates and "Vij" in differentiated and "Vij" not in layer.differentiates:
            raise FieldError(
                f"{where} differentiates with respect to 'Ra' alone, but another layer by 'Vij' too, which "
                "is then independent of 'Ra'. Let it read and differentiate both, as Force does."
            )
        for name in (*layer.reads, *layer.reads_in_cells):
            if name not in known:
                raise FieldError(
                    f"{where} reads '{name}', which nothing before it writes.{did_you_mean(name, known)} "
                    f"Fields at this point: {', '.join(known)}."
                )
        for name in layer.writes:
            if name in INPUTS:
                raise FieldError(f"{where} writes '{name}', an input. Write a field with a name of its own.")
            if name in known and name not in layer.reads:
                raise FieldError(
                    f"{where} writes '{name}' over what a layer before it wrote, without reading it. "
                    f"Remove one of the two layers, or let this one read '{name}'."
                )
        known += [name for name in layer.writes if name not in known]


def _check_declaration(layer: Layer, where: str) -> None:
    for what in ("reads", "reads_in_cells", "writes", "energy_terms", "differentiates"):
        names = getattr(layer, what)
        if isinstance(names, str):
            # ("x") is a text and would be taken letter by letter
            raise FieldError(f"{where}: {what} is the text '{names}'. Write a tuple: ('{names}',).")
    try:
        inspect.signature(layer.forward).bind(**dict.fromkeys(layer.reads))
        inspect.signature(layer.forward).bind(**dict.fromkeys((*layer.reads, *layer.reads_in_cells)))
    except TypeError as error:
        raise FieldError(
            f"{where}: forward does not take what reads declares, {', '.join(layer.reads) or 'nothing'}: {error}. "
            "Let its parameters have these names."
        ) from error
