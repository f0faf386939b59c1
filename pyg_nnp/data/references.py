"""Reference energies of atoms: read from a CSV file, or fitted."""

import csv
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray
from torch import Tensor

from pyg_nnp.data.checks import MAX_Z
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from pyg_nnp.config import Transforms
    from pyg_nnp.data.dataset import MoleculeDataset

log = logging.getLogger(__name__)

COLUMNS = ("atom_type", "atomic_energy")
_FRAMES_AT_ONCE = 1 << 16
# ase also knows X, a dummy atom
_SYMBOLS = {symbol: Z for symbol, Z in atomic_numbers.items() if 1 <= Z <= MAX_Z}


@dataclass(frozen=True)
class References:
    """What is subtracted from total energies before training, and added to predictions.

    Attributes:
        atomic_energies: (119,) float64 reference energy by atomic number, 0 for elements that do not occur.
        shift: a constant for each molecule.
    """

    atomic_energies: Tensor
    shift: float = 0.0


def read_atomic_energies(path: Path) -> dict[int, float]:
    """Read reference energies from a CSV file with columns ``atom_type`` (symbol) and ``atomic_energy``.

    Returns:
        Atomic number -> energy, in the unit of the file.

    Raises:
        ConfigError: if there is no such file.
        DataError: if the file is not as described, with the line at fault.
    """
    if not os.path.isfile(path):  # Path.is_file() raises where a name is too long
        raise ConfigError(f"Datahub.transforms.atomic_energy: there is no file '{path}'.")
    energies: dict[int, float] = {}
    try:
        # utf-8-sig: spreadsheets put a byte order mark first
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            _check_columns(path, reader.fieldnames)
            for row in reader:
                if any(row.get(None, ())):
                    raise DataError(f"{path}: line {reader.line_num}: too many values; write a point, not a comma.")
                Z, energy = _read_row(f"{path}: line {reader.line_num}", row)
                if Z in energies:
                    raise DataError(f"{path}: line {reader.line_num}: {chemical_symbols[Z]} has an energy already.")
                energies[Z] = energy
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: this is not a CSV text file: {error}.") from error
    return energies


def reference_energies(
    dataset: "MoleculeDataset", transforms: "Transforms", training_indices: Tensor | None = None
) -> References:
    """Work out the reference energies that the transforms ask for.

    With ``atomic_energy: fit`` they are the least-squares solution of E against the numbers of atoms of each element,
    the one of smallest norm where these do not determine it (as for one molecule). With
    ``total_energy_normalization`` the shift is the mean of what then remains of E: a shift alone, because a division
    would change the unit of E.

    Args:
        dataset: the whole data set, with ``E`` where a fit or a normalization is asked for.
        transforms: of the configuration.
        training_indices: (n,) the frames of the training part, the only ones looked at; all if None.

    Raises:
        ConfigError: if ``E`` is needed and the data set has none.
        DataError: if ``fit`` meets an element that does not occur in the training part.
    """
    fit, normalize = transforms.atomic_energy == "fit", transforms.total_energy_normalization
    energies = np.zeros(MAX_Z + 1)
    for Z, energy in (dataset.atomic_energies or {}).items():
        energies[Z] = energy
    if not fit and not normalize:
        return References(torch.from_numpy(energies))
    if "E" not in dataset.fields:
        raise ConfigError(
            f"Datahub.transforms.{'atomic_energy: fit' if fit else 'total_energy_normalization'} needs E."
        )
    summary = dataset.summary
    elements = summary.elements.tolist()
    mean, triangle, num_frames = _least_squares(summary, training_indices)
    if fit:
        _check_all_occur(elements, mean[:-1])
        # numpy's own tolerance for all rows: those of the triangle are few, but have the rounding errors of all
        rcond = np.finfo(np.float64).eps * max(num_frames, len(elements))
        energies[elements], _, rank, _ = np.linalg.lstsq(triangle[:, :-1], triangle[:, -1], rcond=rcond)
        if rank < len(elements):
            log.info(
                "atomic_energy: fit: the compositions in the training data do not tell the energies of single elements "
                "apart. For molecules of these compositions it makes no difference; predicted energies of others mean "
                "nothing."
            )
    shift = float(mean[-1] - mean[:-1] @ energies[elements]) if normalize else 0.0
    return References(torch.from_numpy(energies), shift)


def _check_columns(path: Path, columns: Sequence[str] | None) -> None:
    for name in COLUMNS:
        if name not in (columns or ()):
            found = f"Its first line has: {', '.join(columns)}." if columns else "It is empty."
            raise DataError(f"{path}: line 1: there is no column '{name}'.{did_you_mean(name, columns or ())} {found}")


def _read_row(where: str, row: dict[str, str | None]) -> tuple[int, float]:
    symbol, text = ((row[name] or "").strip() for name in COLUMNS)
    if symbol not in _SYMBOLS:
        raise DataError(f"{where}: '{symbol}' is not the symbol of an element.{did_you_mean(symbol, _SYMBOLS)}")
    try:
        energy = float(text)
    except ValueError:
        energy = float("nan")
    if not isfinite(energy):
        raise DataError(f"{where}: the atomic_energy of {symbol} is '{text}', which is not a number.")
    return _SYMBOLS[symbol], energy


def _least_squares(
    summary: DatasetSummary, indices: Tensor | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Reduce the rows (number of atoms of each of K elements, E) of frames, some at a time.

    Returns:
        The mean of the rows, (K + 1,); the triangular matrix of their QR decomposition, (at most K + 1, K + 1), which
        has the same least-squares solution; and the number of rows.
    """
    frames = np.arange(len(summary.sizes)) if indices is None else indices.sort().values.numpy()
    columns = len(summary.elements) + 1
    total: NDArray[np.float64] = np.zeros(columns)
    triangle: NDArray[np.float64] = np.zeros((0, columns))
    for first in range(0, len(frames), _FRAMES_AT_ONCE):
        some = frames[first : first + _FRAMES_AT_ONCE]
        rows = np.column_stack((summary.counts[some], summary.E[some]))
        total += rows.sum(axis=0)
        triangle = np.asarray(np.linalg.qr(np.vstack((triangle, rows)), mode="r"))
    return total / len(frames), triangle, len(frames)


def _check_all_occur(elements: list[int], mean_counts: NDArray[np.float64]) -> None:
    missing = [chemical_symbols[Z] for Z, count in zip(elements, mean_counts, strict=True) if count == 0]
    if missing:
        raise DataError(
            f"Datahub.transforms.atomic_energy: fit: no frame of the training part has {', '.join(missing)}, but other "
            "frames have. Enlarge the training part, change Splitter.seed, or give atomic_energy a CSV file."
        )
