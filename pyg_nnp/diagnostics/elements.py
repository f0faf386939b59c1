"""Whether elements are numbers of types in place of atomic numbers, or look so."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from ase.data import chemical_symbols

from pyg_nnp.data.frame_checks import MAX_Z
from pyg_nnp.diagnostics.finding import Finding
from pyg_nnp.errors import DataError
from pyg_nnp.units import BOHR_IN_ANGSTROM

_FEWEST, _MOST, _SHOWN = 3, 20, 4
"""Elements: there are data with hydrogen and helium alone, and with all that there are."""
_HELIUM, _BOND = 2, 1.4  # Å


def refuse_other_numbers(file: str, name: str, numbers: Iterable[int]) -> None:
    """Raise a DataError where what is named as atomic numbers in a file has none."""
    if wrong := [Z for Z in numbers if not 1 <= Z <= MAX_Z]:
        raise DataError(f"{file}: '{name}' (Za) has {wrong[0]}; elements go from 1 (H) to {MAX_Z} (Og).")


def check_elements(file: str, name: str, frames: Mapping[str, Any], bohr: float | None) -> list[Finding]:
    """Warn of atomic numbers that are 1, 2, 3 and so on, and of helium with bonds.

    Args:
        file: the data file, or several.
        name: of the atomic numbers in it.
        frames: some frames, with Ra, (A, 3), Za, (A,), and pairs of atoms, edge_index, (2, E).
        bohr: one Bohr in the unit of the positions; None: that is not known.
    """
    Za = frames["Za"]
    elements = torch.unique(Za).tolist()
    if _HELIUM not in elements or len(elements) > _MOST:
        return []
    is_counted = len(elements) >= _FEWEST and elements == [*range(1, len(elements) + 1)]
    j, i = frames["edge_index"][:, Za[frames["edge_index"][1]] == _HELIUM]
    distances = (frames["Ra"][j] - frames["Ra"][i]).norm(dim=1) / (bohr or BOHR_IN_ANGSTROM) * BOHR_IN_ANGSTROM
    bound = torch.unique(i[distances < _BOND])
    if not is_counted and 2 * len(bound) < int((Za == _HELIUM).sum()):
        return []
    some = ", ".join(chemical_symbols[Z] for Z in elements[:_SHOWN])
    more = f" and {len(elements) - _SHOWN} more" if len(elements) > _SHOWN else ""
    text = f"{file}: '{name}' (Za) has {some}{more}"
    text += f", helium nearer than {_BOND} Å to other atoms." if len(bound) else "."
    advice = "Are these numbers of types? Give atomic numbers, or symbols of the elements."
    return [Finding("numbers of types", "Za", text, advice)]
