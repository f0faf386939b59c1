"""A model for TorchSim: many systems at once, in eV and Å (pip install torch-sim-atomistic)."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_sim import SimState
from torch_sim.models.interface import ModelInterface

from pyg_nnp.data.total_charge import given_charge
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.composition import formulas
from pyg_nnp.inference.extrapolation import DistanceWatch, unknown_charges, unknown_compositions, unsaid_charge
from pyg_nnp.inference.no_numbers import frames_without, no_numbers
from pyg_nnp.potential.checkpoint import own_copy
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.predictor import recorded

# name in TorchSim -> field
_NAMES = {"energy": "E", "forces": "Fa", "stress": "S", "charges": "Qa", "dipole": "M2"}
_FULL = [[0, 5, 4], [5, 1, 3], [4, 3, 2]]  # of xx yy zz yz xz xy
_NOT_PERIODIC = (
    "a system has lattice vectors, but no direction is periodic: it is taken for a molecule. TorchSim 0.3 makes such "
    "systems of slabs and wires, which are periodic in some directions only."
)


class _Results(dict[str, Tensor]):
    """What a potential predicts; what it does not is an error that says so."""

    def __missing__(self, name: str) -> Tensor:
        advice = " Train one with the layer Stress." if name == "stress" else ""
        raise DataError(f"this potential predicts no {name}, only {', '.join(self)}.{advice}")


class PygNnpModel(ModelInterface):  # type: ignore[misc]  # it has no types
    """Energies [eV], forces [eV/Å], stress [eV/Å³], charges [e] and dipole moments [e Å] of a trained potential.

    Args:
        potential: the folder of a trained model, its file, or a loaded potential, of which it takes a copy.
        charge: total charge of each system [e], since a state of TorchSim has none; None stands for 0, with a warning
            where the training had several.
        device: where to evaluate; None takes a GPU where there is one.
        dtype: of evaluations and results; None takes that of the training.

    Raises:
        DataError: there is no potential, or its units are not known; on evaluation, what
            :class:`pyg_nnp.PotentialCalculator` refuses.
    """

    def __init__(
        self,
        potential: str | Path | Potential,
        *,
        charge: float | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.potential = own_copy(potential, device or ("cuda" if torch.cuda.is_available() else "cpu"), dtype)
        self.charge = given_charge(0.0 if charge is None else charge)
        if warning := unsaid_charge(self.potential.domain, charge):
            warnings.warn(warning, stacklevel=2)
        self._predict = recorded(self.potential)
        units = self.potential.units
        self._length = units.length
        self._factors = {
            name: units.in_ase(FIELDS[field].unit) for name, field in _NAMES.items() if field in self.potential.outputs
        }
        self._compute_forces, self._compute_stress = "forces" in self._factors, "stress" in self._factors
        known = self.potential.domain.compositions
        of_crystals = not known or any(name.endswith("(periodic)") for name in known)
        self._is_for_cells = of_crystals and not self.potential.not_for_cells
        self._known: set[str] = set()  # formulas
        self._said: set[str] = set()
        self._watch = DistanceWatch(self.potential.domain, units)
        self._last: list[Tensor] = []  # systems of the call before

    @property
    def device(self) -> torch.device:
        """Where it evaluates."""
        return self.potential.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of evaluations and results."""
        return self.potential.dtype

    def train(self, mode: bool = True) -> "PygNnpModel":
        """Leave it in evaluation mode: results carry no graph."""
        return self

    def forward(self, state: Any, **options: Any) -> dict[str, Tensor]:
        """Evaluate the systems of a state.

        Returns:
            ``energy`` (G,), and of ``forces`` (A, 3), ``stress`` (G, 3, 3), ``charges`` (A,) and ``dipole`` (G, 3)
            those that the potential predicts.
        """
        state = state if isinstance(state, SimState) else SimState(**state)
        data = self._data(state)
        predicted, results = self._predict(data), _Results()
        for name, factor in self._factors.items():
            # energies stay in double precision: those of all electrons have no digits to spare
            values = predicted[_NAMES[name]].double() * factor
            values = values if name == "energy" else values.to(data.Q.dtype)
            results[name] = values[:, _FULL] if name == "stress" else values  # stress (G, 3, 3)
        if not all(value.isfinite().all() for value in results.values()):
            found = {_NAMES[name]: values.detach().cpu().numpy() for name, values in results.items()}
            system, names = min(frames_without(found, data.N.cpu().numpy()).items())
            raise no_numbers(state.positions.split(data.N.tolist())[system].detach().cpu().numpy(), names)
        # of what is refused there is an error alone
        systems = [data[name] for name in ("N", "Za", "pbc") if name in data]
        is_same = len(systems) == len(self._last) and all(map(torch.equal, systems, self._last))
        self._last = systems
        new = [] if is_same else self._differences(state.cell, *(values.cpu() for values in systems))
        for warning in new + self._watch.look(data, is_same):
            warnings.warn(warning, stacklevel=2)
        return results

    def _data(self, state: SimState) -> Data:
        N = torch.bincount(state.system_idx, minlength=state.n_systems)  # (G,)
        Za = state.atomic_numbers.to(torch.long, copy=True)  # those of the state may be changed
        pbc = torch.as_tensor(state.pbc, device=self.device).expand(3).long()  # (3,)
        if not len(Za) or bool((N == 0).any()):
            raise DataError("there is a system without atoms. Each needs at least one.")
        Ra = state.positions.detach().double() / self._length  # (A, 3)
        Q = torch.full((len(N),), self.charge, dtype=self.dtype, device=self.device)  # (G,)
        data = Data(Ra=Ra, Za=Za, N=N, Q=Q, batch=state.system_idx, num_nodes=len(Za))
        if pbc.any():
            data.cell = state.row_vector_cell.detach().double() / self._length  # (G, 3, 3)
            data.pbc = pbc.repeat(len(N), 1)  # (G, 3)
        return data

    def _differences(self, cell: Tensor, N: Tensor, Za: Tensor, pbc: Tensor | None = None) -> list[str]:
        """Return warnings of systems that the potential is not for, each once; ``cell`` (G, 3, 3)."""
        domain, found = self.potential.domain, formulas(N, Za, pbc)
        every = [
            unknown_charges(domain, {self.charge}),
            unknown_compositions(domain, found - self._known),
            _NOT_PERIODIC if pbc is None and self._is_for_cells and bool(cell.any()) else "",
        ]
        self._known |= found
        new = [warning for warning in every if warning and warning not in self._said]
        self._said.update(new)
        return new
