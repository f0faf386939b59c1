"""ASE's ``Atoms`` as frames that are dicts."""

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from pyg_nnp.errors import DataError


def fields_of(atoms: Atoms) -> dict[str, Any]:
    """Return all that a frame holds, under ASE's names."""
    results = atoms.calc.results if atoms.calc else {}
    own = {"natoms": len(atoms), "symbols": list(atoms.symbols)}
    return {**own, **atoms.info, **atoms.arrays, **results}


def refuse_periodic(path: Path, frame: int, pbc: Any) -> None:
    """Refuse a periodic cell, whose images a potential of molecules would leave out without a word.

    Raises:
        DataError: the cell is periodic.
    """
    if np.any(pbc):
        what = "the cell is periodic, but a potential here knows molecules alone"
        instead = 'For a molecule in a box, unwrap it and write pbc="F F F"'
        raise DataError(f"{path}: frame {frame}: {what}. {instead}.")
