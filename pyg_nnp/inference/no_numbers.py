"""Predictions that are no numbers: of which structure, and what in it seems to be the reason."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS

_COINCIDENT = 1e-6  # of a unit of length


def frames_without(predicted: Mapping[str, NDArray[Any]], N: NDArray[Any]) -> dict[int, list[str]]:
    """Return frame -> fields whose predictions are no numbers there.

    Args:
        predicted: field -> rows of (A, ...) atoms or (G, ...) frames.
        N: (G,) number of atoms of each frame.
    """
    found: dict[int, list[str]] = {}
    for name, values in predicted.items():
        rows = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        frames = np.repeat(np.arange(len(N)), N)[rows] if FIELDS[name].level == "atom" else rows
        for frame in np.unique(frames).tolist():
            found.setdefault(frame, []).append(name)
    return found


def no_numbers(positions: NDArray[Any], names: Iterable[str]) -> DataError:
    """Return the error for one structure, (A, 3) ``positions``, with the atoms that seem to be the reason."""
    # at the same place no force has a direction
    for i, j in cKDTree(positions).query_pairs(_COINCIDENT):
        what = "are at the same place, where energies and forces are no numbers. Move one of them"
        return DataError(f"the atoms {i} and {j} {what}.")
    farthest = int(abs(positions - np.median(positions, axis=0)).max(axis=1).argmax())
    place = ", ".join(f"{x:g}" for x in positions[farthest])
    return DataError(
        f"predictions of {', '.join(names)} are no numbers. Farthest out is atom {farthest}, at ({place}). In a "
        "simulation, take a shorter time step, or start from a structure that is more like the training data."
    )
