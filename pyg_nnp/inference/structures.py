"""Structures to be predicted: read piece by piece, checked, and compared with the training data."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyg_nnp.data.formats.readers import OWN_NAMES, format_of, structure_blocks
from pyg_nnp.data.frame_checks import Checks
from pyg_nnp.data.source import Block, DataSource
from pyg_nnp.functional.composition import formulas
from pyg_nnp.inference.extrapolation import (
    ShortestDistances,
    training_configuration,
    unknown_charges,
    unknown_compositions,
)
from pyg_nnp.potential.predictor import Predictor

log = logging.getLogger(__name__)

_MOST_SHOWN = 5

Arrays = dict[str, NDArray[Any]]
"""Fields of some frames, one after the other, under standard names in the units of the training."""


class Structures:
    """The structures of a file, in the units of a potential.

    Args:
        predictor: the potential.
        path: the file.
        charge: total charge of all structures [e]; None takes that of the file, under the name of the training data or
            a usual one, and 0 where it has none.

    Raises:
        DataError: the potential does not say its units, or how it was trained.
    """

    def __init__(self, predictor: Predictor, path: Path, charge: float | None) -> None:
        hub, units = training_configuration(predictor)["Datahub"], predictor.units
        self.path, self.charge, self.domain = path, charge, predictor.domain
        _, self.length = units.energy, units.length  # raise if unknown, before a file is written
        data_format = format_of(path)
        own_unit = data_format in OWN_NAMES or (data_format is not None and data_format == hub["data_format"])
        self.features = hub["features"]
        self.factor = 1.0 if own_unit else 1 / self.length
        in_angstrom = self.length if own_unit else 1.0
        log.info("%s: positions are read in %s.", path, "Å" if in_angstrom == 1 else f"units of {in_angstrom:g} Å")
        self.check = Checks(DataSource(str(path), {"Q": "charge", **hub["features"]}), units.bohr)
        self.distances = ShortestDistances(self.domain.distances_in_angstrom(units))
        self.charges: set[float] = set()
        self.others: set[float] = set()  # of the file, which are not taken
        self.silent = self.count = 0  # structures that say no charge, and all
        self.compositions: set[str] = set()

    def __iter__(self) -> Iterator[Arrays]:
        """Read all structures, and yield ``N``, ``Za``, ``Ra`` and ``Q`` of some at a time.

        Raises:
            DataError: the file cannot be read, or a structure is broken.
        """
        for block in structure_blocks(self.path, self.features):
            # arrays of a file are not writable, which PyTorch warns of
            arrays = {name: np.require(rows, requirements="W") for name, rows in block.arrays.items()}
            arrays["Ra"] = arrays["Ra"] * self.factor
            arrays["Q"] = self._charges(arrays["Q"])
            self.check(Block(block.first, arrays))
            self._compare(arrays)
            yield arrays

    def _charges(self, said: NDArray[Any]) -> NDArray[Any]:
        """Return (G,) total charges for those that the file says, NaN where it says none."""
        is_silent = np.isnan(said)
        self.silent, self.count = self.silent + int(is_silent.sum()), self.count + len(said)
        if self.charge is None:
            return np.where(is_silent, 0.0, said)
        self.others.update(said[~is_silent & (said != self.charge)].tolist())
        return np.full(len(said), self.charge)

    def _compare(self, arrays: Arrays) -> None:
        """Collect what :meth:`report` compares with the training data; warn of new charges at once."""
        Ra, Za, N = (torch.from_numpy(arrays[name]) for name in ("Ra", "Za", "N"))
        self.distances.add(Ra * self.length, Za, N)
        charges = set(arrays["Q"].tolist())
        if warning := unknown_charges(self.domain, charges - self.charges):
            log.warning("%s", warning)
        self.charges |= charges
        self.compositions.update(formulas(N, Za))

    def report(self) -> None:
        """Warn of charges that are not those of the file, and of what the training data did not have."""
        if self.others:
            listed = ", ".join(f"{charge:g}" for charge in sorted(self.others)[:_MOST_SHOWN])
            log.warning("%s: the total charge %g was given; the file says %s.", self.path, self.charge, listed)
        if self.charge is None and self.silent:
            # where some say it, it may be forgotten in others
            level = logging.INFO if self.silent == self.count else logging.WARNING
            text = "%s: %d of %d structures say no total charge; it is taken to be 0."
            log.log(level, text, self.path, self.silent, self.count)
        if warning := unknown_compositions(self.domain, self.compositions):
            log.warning("%s: %s", self.path, warning)
        self.distances.report(
            "Predictions for these structures may mean nothing. Are their positions in the unit named above?"
        )
