# mypy: allow-untyped-calls
"""Frames of what ASE has of a structure: in rows of its databases, and in several parts of a file."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from pyg_nnp.data.source import CONFLICT

if TYPE_CHECKING:
    from ase.db.row import AtomsRow

_BOOKKEEPING = {"id", "unique_id", "ctime", "mtime", "user", "calculator", "calculator_parameters", "data"}
_BOOKKEEPING |= {"cell", "pbc"}  # those of what is periodic alone are taken


def row_fields(row: "AtomsRow") -> Mapping[str, Any]:
    """Return what a row has of its structure, the results of a calculator, key-value pairs and data."""
    # Not row.key_value_pairs: for a key 'charge' it gives the sum of the initial charges instead of the value.
    stored = {key: value for key, value in vars(row).items() if key[0] != "_" and key not in _BOOKKEEPING}
    return merged({"natoms": row.natoms, "symbols": row.symbols, **cell_of(row)}, row.data, stored)


def cell_of(atoms: "Atoms | AtomsRow") -> dict[str, Any]:
    """Return the cell, if ASE has one, and its periodic directions, of what is periodic; of molecules nothing."""
    if not np.any(atoms.pbc):
        return {}
    cell = {"cell": np.array(atoms.cell)} if np.any(atoms.cell) else {}
    return {**cell, "pbc": np.array(atoms.pbc)}


def merged(*parts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one frame of what several parts of a file say; names with different values in two of them conflict."""
    frame: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            frame[name] = value if name not in frame or _is_same(frame[name], value) else CONFLICT
    return frame


def _is_same(one: Any, other: Any) -> bool:
    try:
        a, b = np.squeeze(one), np.squeeze(other)
        # the same number in single and in double precision is one number
        return bool(np.array_equal(a, b) or np.allclose(a, b, rtol=1e-6, atol=0, equal_nan=True))
    except (TypeError, ValueError):
        return False


def decode_json(text: str) -> Any:
    """Decode JSON of ASE; an array is not made before it is known that its numbers are there."""
    if '"__' not in text:  # nothing of ASE's own
        return json.loads(text)
    json.loads(text, object_hook=_check_array)
    # slow to import, see ase_files.py
    from ase.io import jsonio

    from_json: Any = jsonio.decode  # it has no types
    return from_json(text)


def _check_array(found: dict[str, Any]) -> None:
    if "__ndarray__" in found:
        shape, _, numbers = found["__ndarray__"]
        if math.prod(shape) > len(numbers):
            raise ValueError(f"an array of shape {shape} with {len(numbers)} numbers")
