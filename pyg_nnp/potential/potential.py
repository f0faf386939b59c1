"""Potential: a checked list of layers."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from pyg_nnp.fields import OUTPUTS
from pyg_nnp.kernels import sum_over_atoms
from pyg_nnp.layers.base import Fields, Layer
from pyg_nnp.potential.description import TrainingDomain
from pyg_nnp.potential.inputs import complete_inputs
from pyg_nnp.potential.wiring import Wiring
from pyg_nnp.units import Units

_SIZE_OF_REFERENCES = 119  # one for each atomic number, and 0


class Potential(nn.Module):
    """Layers applied one after the other.

    Args:
        layers: in order.
        spec: what the potential is rebuilt from, a JSON-like dict; see :func:`build_layers`.

    Attributes:
        domain: what it was trained on.
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
        self._wiring = Wiring(layers)
        self.layers = nn.ModuleList(layers)
        self.spec = dict(spec or {})
        self.domain = TrainingDomain()
        self.register_buffer("atomic_energies", torch.zeros(_SIZE_OF_REFERENCES, dtype=torch.float64))
        self.register_buffer("energy_shift", torch.zeros((), dtype=torch.float64))
        if next(self.parameters(), None) is None:
            self.double()

    @property
    def outputs(self) -> list[str]:
        """Names of the fields that a call returns; what no label has taught is left out, since it is no result."""
        written = {name for module in self.layers for name in cast(Layer, module).writes}
        found = [name for name in OUTPUTS if name in written] + (["Q"] if "Qa" in written else [])
        return [name for name in found if name not in self.spec.get("untrained", ())]

    @property
    def reach(self) -> float:
        """Pairs that are farther apart have no filter or radial function [length]."""
        return self._wiring.reach

    @property
    def not_for_cells(self) -> str:
        """Why it refuses periodic cells; empty where it takes them."""
        return self._wiring.not_for_cells

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
        """Set (119,) energies of the atomic numbers, and what is added to the energy of each molecule [energy]."""
        self.atomic_energies.copy_(atomic_energies)
        self.energy_shift.fill_(energy_shift)

    def initialise(self, data: Data) -> None:
        """Let layers suit their parameters to a sample of the training data, as far as they do; see :class:`Layer`."""
        if any(cast(Any, type(layer)).initialise is not Layer.initialise for layer in self.layers):
            with torch.enable_grad():
                self._wiring.run(self.layers, self.inputs_of(data), initialise=True)

    def forward(self, data: Data) -> Fields:
        """Predict for a ``Data`` or ``Batch`` with ``Ra``, ``Za``, ``N`` and ``Q``, which is not modified.

        Without ``edge_index`` the pairs within ``reach`` are searched for. Periodic systems have ``cell`` and ``pbc``,
        and with ``edge_index`` also ``Tij``.

        Returns:
            The predicted fields: ``E`` (G,) total energies, float64, reference energies included; ``Fa`` (A, 3);
            ``S`` (G, 6); ``Qa`` (A,); ``M2`` (G, 3); ``Q`` (G,), the sum of the atomic charges before
            ``ChargeConservation``. What a potential predicts depends on its layers. In evaluation mode they carry no
            graph.

        Raises:
            DataError: a neighbor list that is not whole; a periodic cell without volume, or one where a layer has no
                meaning; in evaluation mode, an element that it was not trained on.
            FieldError: a field is missing, or a layer does not return what it declares.
        """
        with torch.inference_mode(False):
            return self.predict(self.inputs_of(data))

    def predict(self, inputs: Fields) -> Fields:
        """Predict from complete inputs, as :meth:`inputs_of` returns them, with nothing checked any more."""
        # forces are a derivative, also where the caller wants none
        with torch.set_grad_enabled(bool(self._wiring.differentiated) or torch.is_grad_enabled()):
            fields = self._wiring.run(self.layers, inputs)
        outputs = self.outputs
        predicted: Fields = {name: fields[name] for name in outputs if name != "Q"}
        of_atoms = inputs["batch"], len(inputs["N"])
        if "E" in predicted:
            references = self.atomic_energies.index_select(0, inputs["Za"])
            predicted["E"] = predicted["E"] + (sum_over_atoms(references, *of_atoms) + self.energy_shift)
        if "Q" in outputs:
            predicted["Q"] = fields["Q_sum"] if "Q_sum" in fields else sum_over_atoms(fields["Qa"], *of_atoms)
        return predicted if self.training else {name: value.detach() for name, value in predicted.items()}

    def inputs_of(self, data: Data) -> Fields:
        """Return what layers may read, checked and complete, so that no label can leak into a prediction.

        Raises:
            DataError, FieldError: as :meth:`forward`, but what the layers return.
        """
        refused = self._wiring.not_for_cells, self._wiring.not_for_slabs, self._wiring.not_for_wires
        inputs = complete_inputs(data, self.dtype, self.reach, *refused)
        if not self.training:
            self.domain.refuse_unseen_elements(inputs["Za"])
        return inputs

    def _apply(self, fn: Any, recurse: bool = True) -> "Potential":
        """Move or cast, but leave the reference energies in double precision."""
        references = self.atomic_energies, self.energy_shift
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.atomic_energies, self.energy_shift = (value.to(self.energy_shift.device) for value in references)
        return self
