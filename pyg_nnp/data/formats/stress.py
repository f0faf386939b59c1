"""Stress and virials in data files: 3 x 3, nine or six numbers, in the order of ASE, which a block has."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_nnp.data.source import Origin
from pyg_nnp.functional.periodic_search import volumes

Array = NDArray[Any]

_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def with_stress(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns of fields, with that of ``S`` turned into six numbers for each frame, as far as it can be."""
    found = dict(columns)
    if (column := found.get("S")) is not None:
        if isinstance(column, list):
            found["S"] = [_voigt(item) if np.size(item) == 9 else item for item in column]
        elif tuple(column.shape[-2:]) == (3, 3) or column.shape[-1:] == (9,):
            found["S"] = _VoigtColumn(column)
    return found


class _VoigtColumn:
    """A column of (n, 3, 3), (n, 9), (3, 3) or (9,) numbers as one of (n, 6) or (6,), turned when it is sliced."""

    def __init__(self, column: Any) -> None:
        self._column, self.dtype = column, column.dtype
        self.shape = (*column.shape[: -2 if column.shape[-2:] == (3, 3) else -1], 6)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: slice | tuple[()]) -> Array:
        return _voigt(self._column[key])


def _voigt(value: Any) -> Array:
    """Return the symmetric part of (..., 3, 3) or (..., 9) numbers as (..., 6)."""
    array = np.asarray(value)
    matrices = array.reshape(*array.shape[: -2 if array.shape[-2:] == (3, 3) else -1], 3, 3)
    return np.stack([(matrices[..., a, b] + matrices[..., b, a]) / 2 for a, b in _VOIGT], axis=-1)


def is_virial(name: str) -> bool:
    """Return whether the name of an array says that it holds virials, not stress; one with both words is a stress."""
    return "virial" in name.lower() and "stress" not in name.lower()


def stress_of_virials(origin: Origin, arrays: dict[str, Array]) -> None:
    """Turn virials of frames into stress, minus the virial by the volume, if the name of their array says so.

    Raises:
        DataError: a frame with a virial has no cell.
    """
    if "S" not in arrays or "cell" not in arrays or not is_virial(origin.names["S"]):
        return
    S, volume = arrays["S"], volumes(arrays["cell"])  # (G, 6), (G,)
    if (without := (volume == 0) & np.isfinite(S).any(axis=1)).any():
        instead = "Take it out, or give the frame a cell of three vectors"
        what = f"{origin.field('S')} is a virial, but the frame has no volume. {instead}."
        raise origin.frame_error(int(np.argmax(without)), what)
    arrays["S"] = -S / np.where(volume == 0, 1, volume)[:, None]
