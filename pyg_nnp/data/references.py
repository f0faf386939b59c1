"""Reference energies of atoms: read from a CSV file, those of isolated atoms among the frames, or fitted."""

import csv
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray
from torch import Tensor

from pyg_nnp.data.charge_energies import signed
from pyg_nnp.data.descriptors import unique_rows
from pyg_nnp.data.frame_checks import MAX_Z
from pyg_nnp.data.source import Block, DataSource
from pyg_nnp.errors import ConfigError, DataError, did_you_mean
from pyg_nnp.fields import FIELDS

if TYPE_CHECKING:
    from pyg_nnp.config import Transforms
    from pyg_nnp.data.dataset import MoleculeDataset

log = logging.getLogger(__name__)

COLUMNS = ("atom_type", "atomic_energy")
METHODS = ("fit", "isolated")
"""What ``atomic_energy`` may be besides a CSV file."""
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
    """Read atomic number -> energy from a CSV file with columns ``atom_type`` (symbol) and ``atomic_energy``.

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


class IsolatedAtoms:
    """Collects the energies of isolated atoms: frames of one atom with charge 0 and an energy.

    Attributes:
        energies: atomic number -> energy, the lowest where there are several.
        frames: the frames of these atoms, in ascending order.
    """

    def __init__(self, source: DataSource) -> None:
        self._source = source
        self._elements: set[int] = set()
        self._highest: dict[int, float] = {}
        self.energies: dict[int, float] = {}
        self.frames: list[int] = []

    def __call__(self, block: Block) -> None:
        """Look at a block, and fill in what isolated atoms lack: forces, charges and dipole moments are 0."""
        N, Za, E = (block.arrays[name] for name in ("N", "Za", "E"))
        is_isolated = (N == 1) & (block.arrays["Q"] == 0) & np.isfinite(E)
        if "pbc" in block.arrays:  # an atom of a crystal has neighbors
            is_isolated &= ~block.arrays["pbc"].any(axis=1)
        is_its_atom = np.repeat(is_isolated, N)
        for name in ("Fa", "Qa", "M2"):
            if name in block.arrays:
                values, isolated = block.arrays[name], is_its_atom if FIELDS[name].level == "atom" else is_isolated
                values[isolated] = np.nan_to_num(values[isolated], nan=0.0)
        self._elements.update(np.unique(Za).tolist())
        self.frames += (block.first + np.flatnonzero(is_isolated)).tolist()
        for Z, energy in zip(Za[is_its_atom].tolist(), E[is_isolated].tolist(), strict=True):
            self.energies[Z] = min(energy, self.energies.get(Z, energy))
            self._highest[Z] = max(energy, self._highest.get(Z, energy))

    def check(self) -> None:
        """Log the energies, when all frames were read.

        Raises:
            DataError: an element has no isolated atom.
        """
        missing = [chemical_symbols[Z] for Z in sorted(self._elements - self.energies.keys())]
        if missing:
            found = ", ".join(chemical_symbols[Z] for Z in sorted(self.energies)) or "no element"
            what = "a frame of one atom with charge 0 and an energy"
            raise DataError(
                f"{self._source.file}: there is no isolated atom ({what}) of {', '.join(missing)}, which other frames "
                f"have; there is one of {found}. Add these atoms, or set Datahub.transforms.atomic_energy to fit or to "
                "a CSV file."
            )
        energies = ", ".join(f"{chemical_symbols[Z]} {self.energies[Z]:.8g}" for Z in sorted(self.energies))
        log.info(
            "%s: reference energies from %d frames of isolated atoms, which are in no part: %s",
            self._source.file,
            len(self.frames),
            energies,
        )
        for Z, highest in sorted(self._highest.items()):
            if highest - self.energies[Z] > 1e-6 * abs(highest):
                text = "%s: isolated %s has energies from %.8g to %.8g; the lowest is taken."
                log.warning(text, self._source.file, chemical_symbols[Z], self.energies[Z], highest)


def reference_energies(
    dataset: "MoleculeDataset",
    transforms: "Transforms",
    training_indices: Tensor | None = None,
    of_charges: NDArray[Any] | None = None,
) -> References:
    """Work out the reference energies that the transforms ask for.

    With ``atomic_energy: fit`` they are the least-squares solution of E against the numbers of atoms of each element,
    the one of smallest norm where these do not determine it (as for one molecule). With
    ``total_energy_normalization`` the shift is the mean of what then remains of E: a shift alone, because a division
    would change the unit of E.

    ``of_charges``, (2,), are energies of a unit of positive and of negative charge that the potential has besides.

    Of the data set only the frames of the training part, (n,), are looked at; all without ``training_indices``; of
    these only frames that have an energy and a weight other than 0.

    Raises:
        ConfigError: if ``E`` is needed and the data set has none.
        DataError: if there is no such frame, or ``fit`` meets an element that does not occur in them.
    """
    fit, normalize = transforms.atomic_energy == "fit", transforms.total_energy_normalization
    energies = np.zeros(MAX_Z + 1)
    for Z, energy in (dataset.atomic_energies or {}).items():
        energies[Z] = energy
    if not fit and not normalize:
        return References(torch.from_numpy(energies))
    if "E" not in dataset.fields:
        option = "atomic_energy: fit" if fit else "total_energy_normalization"
        raise ConfigError(f"Datahub.transforms.{option} needs E.")
    summary, elements = dataset.summary, dataset.elements
    frames = np.arange(len(dataset)) if training_indices is None else training_indices.numpy()
    frames = frames[summary.has_energy[frames]]
    if not len(frames):
        raise DataError("Datahub.transforms: no frame of the training part has an energy to fit references to.")
    # frames of one composition count as one row with their mean energy, which has the same least-squares solution
    counts, row = unique_rows(summary.counts[frames])
    size = np.bincount(row)
    E = summary.E[frames] - (0 if of_charges is None else signed(summary.Q[frames]) @ of_charges)
    E = np.bincount(row, E) / size
    if fit:
        _check_all_occur(elements, counts)
        weights = np.sqrt(size)
        # numpy's own tolerance for all rows, whose rounding errors these few have
        rcond = np.finfo(np.float64).eps * max(len(frames), len(elements))
        energies[elements], _, rank, _ = np.linalg.lstsq(weights[:, None] * counts, weights * E, rcond=rcond)
        if rank < len(elements):
            log.info(
                "atomic_energy: fit: the compositions in the training data do not tell the energies of single elements "
                "apart. For molecules of these compositions it makes no difference; predicted energies of others mean "
                "nothing."
            )
    shift = float(size @ (E - counts @ energies[elements]) / len(frames)) if normalize else 0.0
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


def _check_all_occur(elements: list[int], counts: NDArray[np.int16]) -> None:
    missing = [chemical_symbols[Z] for Z, most in zip(elements, counts.max(axis=0), strict=True) if most == 0]
    if missing:
        raise DataError(
            "Datahub.transforms.atomic_energy: fit: no frame of the training part with an energy has "
            f"{', '.join(missing)}, but other frames have. Enlarge the training part, change Splitter.seed, or give "
            "atomic_energy a CSV file."
        )
