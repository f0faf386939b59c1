"""Potential: a checked list of layers."""

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from ase.data import chemical_symbols
from torch import Tensor, nn
from torch_geometric.data import Data

from pyg_nnp.errors import DataError, FieldError, did_you_mean
from pyg_nnp.fields import INPUTS, OUTPUTS
from pyg_nnp.functional.geometry import sum_over_atoms
from pyg_nnp.functional.neighbors import check_edges, find_edges
from pyg_nnp.layers.base import Fields, Layer, RadialFunction
from pyg_nnp.potential.domain import TrainingDomain
from pyg_nnp.units import Units

# what there is of all pairs, whatever their distance
PAIRS = {"edge_index", "pair_index", "Vij", "Dij"}
_SIZE_OF_REFERENCES = 119  # one for each atomic number, and 0


class Potential(nn.Module):
    """Layers applied one after the other.

    Args:
        layers: the layers, in order.
        spec: what the potential is rebuilt from, a JSON-like dict; see :func:`build_layers`.

    Attributes:
        domain: what it was trained on.
        reach: pairs that are farther apart have no filter or radial function [length].
        atomic_energies: (119,) float64 reference energy of each atomic number, added to the predicted energy.
        energy_shift: () float64, added to the energy of each molecule.

    Raises:
        FieldError: a layer reads what nothing before it writes, or writes an input.
    """

    layers: nn.ModuleList
    atomic_energies: Tensor
    energy_shift: Tensor

    def __init__(self, layers: Sequence[Layer], spec: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        check_wiring(layers)
        self.layers = nn.ModuleList(layers)
        self.spec = dict(spec or {})
        self.domain = TrainingDomain()
        self._differentiated = {name for layer in layers for name in layer.differentiates}
        of_pairs = [layer.reach for layer in layers if PAIRS & {*layer.reads}]
        self.reach = max(of_pairs, default=0.0)
        self._functions = functions_of_distance(layers)
        sources = {source for of_layer in self._functions.values() for source in of_layer.values()}
        self._skipped = {number for number in sources if not self._read_as_tensor(layers, number)}
        self._refined: tuple[Any, ...] = ()
        self._refine_next = True
        self._adapted: tuple[object, object] = None, None
        self.register_buffer("atomic_energies", torch.zeros(_SIZE_OF_REFERENCES, dtype=torch.float64))
        self.register_buffer("energy_shift", torch.zeros((), dtype=torch.float64))

    def _read_as_tensor(self, layers: Sequence[Layer], source: int) -> bool:
        """Say whether any layer needs what this one writes at the pairs themselves."""
        return any(
            name in layers[source].writes and self._functions.get(number, {}).get(name) != source
            for number, layer in enumerate(layers)
            for name in layer.reads
            if number > source
        )

    @property
    def outputs(self) -> list[str]:
        """Names of the fields that a call returns; what no label has taught is left out, since it is no result."""
        written = {name for module in self.layers for name in cast(Layer, module).writes}
        found = [name for name in OUTPUTS if name in written] + (["Q"] if "Qa" in written else [])
        return [name for name in found if name not in self.spec.get("untrained", ())]

    @property
    def units(self) -> Units:
        """The units of the training data, as far as they are known."""
        return Units.of(self.spec.get("build_params", {}))

    @property
    def configuration(self) -> dict[str, Any] | None:
        """The configuration of the training, as nested dicts; None where it is not known."""
        document = self.spec.get("config")
        return document if isinstance(document, dict) else None

    @property
    def device(self) -> torch.device:
        """Where parameters and reference energies are."""
        return self.energy_shift.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the parameters, and so of all predictions but the total energy."""
        return next((parameter.dtype for parameter in self.parameters()), torch.float64)

    def set_references(self, atomic_energies: Tensor, energy_shift: float) -> None:
        """Set the energies that are added to the predicted ones.

        Args:
            atomic_energies: (119,) reference energy of each atomic number [energy].
            energy_shift: added to the energy of each molecule [energy].
        """
        self.atomic_energies.copy_(atomic_energies)
        self.energy_shift.fill_(energy_shift)

    def train(self, mode: bool = True) -> "Potential":
        """Change between training and evaluation; the next call then begins with :meth:`refine`."""
        self._refine_next = self._refine_next or mode != self.training
        if self.training and not mode:
            # not all optimisers let tensors know that they change them
            self._refined = ()
        super().train(mode)
        return self

    def refine(self) -> None:
        """Let all layers adapt what they approximate to parameters that have changed.

        It happens by itself: in training when it begins, in evaluation whenever parameters were changed.
        """
        self._refine_next = False
        present = tuple((value.data_ptr(), value._version) for value in tensors_of(self.layers))
        if present == self._refined:
            return
        self._refined = present
        for number, module in enumerate(self.layers):
            layer = cast(Layer, module)
            if layer.functions:
                sources = self._functions.get(number, {})
                layer.refine({name: _as_function(self._copy(source), name) for name, source in sources.items()})
        states = tuple(str(state) for name, state in self.layers.state_dict().items() if name.endswith("_extra_state"))
        self._adapted = states, object()

    @property
    def adapted(self) -> object:
        """Compares as equal for calls that differ in nothing that :meth:`refine` adapts, besides parameters."""
        # in evaluation layers may keep tensors, which each refinement replaces
        return self.training, self._adapted[0], None if self.training else self._adapted[1]

    def keep_refinement(self) -> None:
        """Go on in the middle of an epoch of training with what was adapted at its beginning, and saved."""
        self._refine_next = False

    def refined_as(self, other: "Potential") -> None:
        """Take it that another potential, with the same layers, has adapted them."""
        self._refined, self._refine_next = other._refined, False

    def _copy(self, source: int) -> Layer:
        return copy.deepcopy(cast(Layer, self.layers[source])).double()

    def forward(self, data: Data) -> Fields:
        """Predict.

        Args:
            data: a ``Data`` or ``Batch`` with ``Ra``, ``Za``, ``N`` and ``Q``; it is not modified. Without
                ``edge_index`` the pairs within ``reach`` are searched for.

        Returns:
            The predicted fields: ``E`` (G,) total energies, float64, reference energies included; ``Fa`` (A, 3);
            ``Qa`` (A,); ``M2`` (G, 3); ``Q`` (G,), the sum of the atomic charges before ``ChargeConservation``. What a
            potential predicts depends on its layers. In evaluation mode they carry no graph.

        Raises:
            DataError: a neighbor list that is not whole; in evaluation mode, an element that it was not trained on.
            FieldError: a field is missing, or a layer does not return what it declares.
        """
        with torch.inference_mode(False):
            inputs = self.inputs_of(data)
            self.prepare()
            return self.predict(inputs)

    def predict(self, inputs: Fields) -> Fields:
        """Predict from complete inputs, as :meth:`inputs_of` returns them, with nothing checked any more."""
        # forces are a derivative, also where the caller wants none
        with torch.set_grad_enabled(bool(self._differentiated) or torch.is_grad_enabled()):
            fields = self._run(inputs)
        outputs = self.outputs
        predicted: Fields = {name: fields[name] for name in outputs if name != "Q"}
        if "E" in predicted:
            predicted["E"] = predicted["E"] + self._reference(inputs)
        if "Q" in outputs:
            uncorrected = fields.get("Q_sum")
            charges, batch, N = fields["Qa"], fields["batch"], fields["N"]
            predicted["Q"] = sum_over_atoms(charges, batch, len(N)) if uncorrected is None else uncorrected
        return predicted if self.training else {name: value.detach() for name, value in predicted.items()}

    def prepare(self) -> None:
        """Do what a prediction begins with: refine, if it is time to."""
        if self._refine_next or not self.training:
            self.refine()

    def inputs_of(self, data: Data) -> Fields:
        """Return what layers may read, checked and complete, so that no label can leak into a prediction.

        Raises:
            DataError: a neighbor list that is not whole; in evaluation mode, an element that it was not trained on.
            FieldError: a field is missing.
        """
        inputs: Fields = {}
        for name in INPUTS:
            if name in data:
                value: Tensor = data[name]
                value = value.clone() if value.is_inference() else value
                inputs[name] = value.to(self.dtype) if value.is_floating_point() else value
            elif name not in ("batch", "edge_index"):
                raise FieldError(f"the data has no '{name}'. A potential needs Ra, Za, N and Q.")
        inputs.setdefault("batch", torch.zeros_like(inputs["Za"]))
        if "edge_index" in inputs:
            check_edges(inputs["edge_index"], len(inputs["Za"]))
        else:
            inputs["edge_index"] = find_edges(inputs["Ra"], inputs["N"], self.reach)
        if not self.training:
            self._refuse_unseen_elements(inputs["Za"])
        return inputs

    def _refuse_unseen_elements(self, Za: Tensor) -> None:
        elements = self.domain.elements
        if not elements:
            return
        if unseen := set(torch.bincount(Za).nonzero()[:, 0].tolist()) - set(elements):
            raise DataError(
                f"this potential was not trained on {_symbols(unseen)}, only on {_symbols(elements)}. "
                "Train one on data that has all elements."
            )

    def _run(self, inputs: Fields) -> Fields:
        fields = {name: self._leaf(name, value) for name, value in inputs.items()}
        for number, module in enumerate(self.layers):
            if number in self._skipped:
                continue
            layer = cast(Layer, module)
            arguments: dict[str, Any] = {name: fields[name] for name in layer.reads if name in fields}
            for name, source in self._functions.get(number, {}).items():
                arguments[name] = _as_function(cast(Layer, self.layers[source]), name)
            if not self._differentiated.isdisjoint(layer.writes):
                # what is differentiated may not depend on anything else that is, for derivatives to be partial ones
                arguments = {name: self._leaf(name, value) for name, value in arguments.items()}
            written: Any = layer(**arguments)
            if not isinstance(written, dict) or written.keys() != set(layer.writes):
                returned = sorted(written) if isinstance(written, dict) else f"a {type(written).__name__}"
                raise FieldError(
                    f"layer {number} ({type(layer).__name__}) returned {returned}, "
                    f"but declares that it writes {sorted(layer.writes)}. Let forward return a dict of exactly these."
                )
            fields |= written
        return fields

    def _leaf(self, name: str, value: Tensor) -> Tensor:
        return value.detach().requires_grad_() if name in self._differentiated else value

    def _reference(self, inputs: Fields) -> Tensor:
        atomic = self.atomic_energies.index_select(0, inputs["Za"])
        return sum_over_atoms(atomic, inputs["batch"], len(inputs["N"])) + self.energy_shift

    def _apply(self, fn: Any, recurse: bool = True) -> "Potential":
        """Move or cast, but leave the reference energies in double precision."""
        references = self.atomic_energies, self.energy_shift
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        device = self.atomic_energies.device
        self.atomic_energies, self.energy_shift = (reference.to(device) for reference in references)
        return self


def tensors_of(module: nn.Module) -> Iterator[Tensor]:
    """Yield parameters and buffers; ten times as fast as what gives them names, and needed in each evaluation."""
    for of_module in (module._parameters, module._buffers):
        yield from (value for value in of_module.values() if value is not None)
    for child in module._modules.values():
        if child is not None:
            yield from tensors_of(child)


def _as_function(layer: Layer, name: str) -> RadialFunction:
    return lambda Dij_sr: layer(Dij_sr=Dij_sr)[name]


def _symbols(elements: Iterable[int]) -> str:
    known = dict(enumerate(chemical_symbols))
    return ", ".join(known.get(Z, str(Z)) for Z in sorted(elements))


def functions_of_distance(layers: Sequence[Layer]) -> dict[int, dict[str, int]]:
    """Find out which fields can be taken as functions of ``Dij_sr``.

    Returns:
        number of the layer that takes it -> field -> number of the layer that writes it.
    """
    found: dict[int, dict[str, int]] = {}
    written: dict[str, int] = {}
    for number, layer in enumerate(layers):
        for name in layer.functions:
            source = written.get(name)
            if (
                source is not None
                and layers[source].elementwise
                and layers[source].reads == ("Dij_sr",)
                # the distances are still those that it was written from
                and written["Dij_sr"] < source
            ):
                found.setdefault(number, {})[name] = source
        written |= dict.fromkeys(layer.writes, number)
    return found


def check_wiring(layers: Sequence[Layer], places: Sequence[str] | None = None) -> None:
    """Check that every field is written before it is read, and that no input is overwritten.

    Args:
        layers: in order.
        places: what to call the place of each in messages; by default its number.

    Raises:
        FieldError: it is not so.
    """
    known = list(INPUTS)
    for number, layer in enumerate(layers):
        where = f"{places[number] if places else f'layer {number}'} ({type(layer).__name__})"
        _check_declaration(layer, where)
        for name in layer.reads:
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
    for what in ("reads", "writes", "energy_terms", "differentiates"):
        names = getattr(layer, what)
        if isinstance(names, str):
            # ("x") is a text and would be taken letter by letter
            raise FieldError(f"{where}: {what} is the text '{names}'. Write a tuple: ('{names}',).")
    try:
        inspect.signature(layer.forward).bind(**dict.fromkeys(layer.reads))
    except TypeError as error:
        raise FieldError(
            f"{where}: forward does not take what reads declares, {', '.join(layer.reads) or 'nothing'}: {error}. "
            "Let its parameters have these names."
        ) from error
