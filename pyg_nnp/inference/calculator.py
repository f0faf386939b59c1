"""The calculator for ASE: a trained potential in eV and Å, whatever the units of its training."""

import math
import warnings
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from torch import Tensor
from torch_geometric.data import Data

from pyg_nnp.data.total_charge import charge_of, given_charge, name_in_training
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS, IN_ASE
from pyg_nnp.inference.extrapolation import DistanceWatch, differences
from pyg_nnp.inference.neighbors import Neighbors
from pyg_nnp.inference.no_numbers import no_numbers
from pyg_nnp.potential.checkpoint import own_copy
from pyg_nnp.potential.potential import Potential
from pyg_nnp.potential.predictor import Predictor, recorded
from pyg_nnp.units import Units

# attributes of the atoms that the results depend on, besides the charge
_READ = ("positions", "numbers", "cell", "pbc")


class PotentialCalculator(Calculator):
    """Energies [eV], forces [eV/Å], stress [eV/Å³], charges [e] and dipole moments [e Å] of a trained potential.

    All properties come from one evaluation, which is kept until the atoms, their cell or their charge change. The
    neighbor list is kept until atoms or cell may have moved a pair through ``skin``; results are the same without.

    Args:
        potential: the folder of a trained model, its file, or a loaded potential, of which it takes a copy: what it
            predicts stays the same, and so does the potential, whatever becomes of the other.
        charge: total charge [e]; None takes that of ``atoms.info``, under the name of the training data or a usual
            one such as ``charge``, and 0 where there is none.
        device: where to evaluate.
        dtype: ``float32`` or ``float64``; None takes that of the training.
        skin: how much farther than the cutoff pairs are listed [Å]; 0 for a new list at each evaluation.
        Hartree_in_E: one Hartree in the unit of energy of the training data; needed where the model does not say.
        Bohr_in_R: one Bohr in its unit of length; likewise.

    Attributes:
        watch: looks for distances that were not in the training data; None: nobody does.

    Raises:
        DataError: there is no potential, its units are not known, or the skin is no distance; on evaluation, a
            periodic cell where the potential has layers of molecules alone or the cell has no volume, no atoms, a
            charge that is not one number, an element that the potential was not trained on, atoms at the same place,
            or predictions that are no numbers for another reason.
    """

    implemented_properties = list(IN_ASE)  # noqa: RUF012, as ASE has it

    def __init__(
        self,
        potential: str | Path | Potential,
        *,
        charge: float | None = None,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype | None = None,
        skin: float = 1.0,
        Hartree_in_E: float | None = None,
        Bohr_in_R: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.potential: Predictor = own_copy(potential, device, dtype)
        self._predict = recorded(self.potential)
        self.units = Units(Hartree_in_E, Bohr_in_R).or_else(self.potential.units)
        # an error where one is not known
        self._in_ase = {name: self.units.in_ase(FIELDS[name].unit) for name in IN_ASE.values()}
        self.length_unit = self.units.length
        self.implemented_properties = [name for name, field in IN_ASE.items() if field in self.potential.outputs]
        self.charge = None if charge is None else given_charge(charge)
        self._charge_name = name_in_training(self.potential.configuration)
        if not 0 <= skin < math.inf:
            raise DataError(f"skin: {skin} is no distance. Give 0 or more, in Å.")
        self.skin = skin
        self._charge: float | None = None  # total charge that the results were computed for
        self._system: tuple[float, bytes, bool] | None = None  # charge, elements, whether periodic, of the last time
        self._neighbors: Neighbors | None = None  # those of the last search
        self.watch: DistanceWatch | None = DistanceWatch(self.potential.domain, self.units)

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """Return what changed since the last evaluation of all that the results depend on, by any bit.

        It is called several times in each step of a simulation, and takes less than a tenth of the time of ASE's own.
        """
        if self.atoms is None:
            return list(all_changes)
        changes = [name for name in _READ if not np.array_equal(getattr(atoms, name), getattr(self.atoms, name))]
        return changes + (["charge"] if self._charge_of(atoms) != self._charge else [])

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate all properties."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        self.results = {}  # of atoms that are refused there are none
        present: Atoms = self.atoms  # type: ignore[assignment]
        data = self._data(present)
        predicted = self._predict(data)
        results = {}
        for name in self.implemented_properties:
            field = IN_ASE[name]
            rows = predicted[field].double().cpu().numpy() * self._in_ase[field]
            results[name] = rows if FIELDS[field].level == "atom" else rows[0]
        if wrong := [name for name, value in results.items() if not np.isfinite(value).all()]:
            raise no_numbers(present.positions, wrong)
        # of what is refused there is an error alone
        charge, is_periodic = self._charge_of(present), bool(present.pbc.any())
        system = charge, present.numbers.tobytes(), is_periodic
        is_same, self._system = system == self._system, system
        found = [] if is_same else differences(self.potential.domain, charge, present.numbers, is_periodic)
        for warning in found + (self.watch.look(data, is_same) if self.watch else []):
            warnings.warn(warning, stacklevel=2)
        if is_periodic and present.cell.rank < 3:
            results.pop("stress", None)  # which is by volume
        self.results, self._charge = results, charge

    def _charge_of(self, atoms: Atoms) -> float:
        if self.charge is not None:
            return self.charge
        try:
            return charge_of({**atoms.arrays, **atoms.info}, self._charge_name) or 0.0
        except DataError as error:
            raise DataError(f"atoms.info: {error}") from error

    def _data(self, atoms: Atoms) -> Data:
        if not len(atoms):
            raise DataError("there are no atoms. Give at least one.")
        device, charge, is_periodic = self.potential.device, self._charge_of(atoms), bool(atoms.pbc.any())
        data = Data(
            Ra=torch.tensor(atoms.positions / self.length_unit, device=device, dtype=torch.float64),
            Za=torch.tensor(atoms.numbers, device=device),
            N=torch.tensor([len(atoms)], device=device),
            Q=torch.tensor([charge], device=device, dtype=self.potential.dtype),
            num_nodes=len(atoms),
        )
        if is_periodic:
            data.cell = torch.tensor(atoms.cell.array / self.length_unit, device=device)[None]  # (1, 3, 3)
            data.pbc = torch.tensor(atoms.pbc.astype(int), device=device)[None]  # (1, 3)
        if self.skin > 0 and self.potential.reach < float("inf"):
            data.update(self._edges(data))
        return data

    def _edges(self, data: Data) -> dict[str, Tensor]:
        """Return the edges within cutoff and skin, those of the last search while they are whole."""
        if self._neighbors is None or not self._neighbors.are_those_of(data):
            self._neighbors = Neighbors(data, self.potential.reach, self.skin / self.length_unit)
        return self._neighbors.edges
