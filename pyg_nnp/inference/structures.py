"""Structures to be predicted: read piece by piece, checked, and compared with the training data."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyg_nnp.data.formats.readers import OWN_NAMES, columns_of, format_of, structure_blocks
from pyg_nnp.data.frame_checks import Checks
from pyg_nnp.data.source import Block, DataSource
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.composition import formulas
from pyg_nnp.inference.extrapolation import (
    ShortestDistances,
    training_configuration,
    unknown_charges,
    unknown_compositions,
)
from pyg_nnp.inference.file_units import units_of_file
from pyg_nnp.potential.predictor import Predictor

log = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]
"""Fields of some frames, one after the other, under standard names in the units of the training."""


# inputs that files of others have under names of their own
_USUAL = {"Ra": "positions", "Za": "elements", "Q": "total charge"}


def find_features(
    path: Path, features: Mapping[str, str], names: Sequence[str], given: Sequence[str] = ()
) -> dict[str, str]:
    """Return the names of inputs in a file, where those of the training data are missing the usual ones.

    Args:
        path: the file.
        features: standard name -> name in the training data.
        names: that the file has.
        given: standard names whose source is not to be changed.
    """
    found = dict(features)
    for name, meaning in _USUAL.items():
        known = [alias for alias in (name, *FIELDS[name].aliases) if alias in names]
        if name not in given and found.get(name) not in names and known:
            log.info("%s: '%s' is taken for the %s.", path, known[0], meaning)
            found[name] = known[0]
    if "N" not in given and found.get("N") not in names:
        found.pop("N", None)  # which can be counted
        found |= {"N": "N"} if "N" in names else {}
    return found


class Structures:
    """The structures of a file, in the units of a potential.

    Args:
        predictor: the potential.
        path: the file.
        charge: total charge of all structures [e]; None takes that of the file, and 0 where it has none.
        units: of the file, as :func:`pyg_nnp.inference.file_units.units_of_file` takes them.

    Raises:
        ConfigError: ``units`` are not known.
        DataError: the potential does not say how it was trained, or its units where positions are to be converted.
    """

    def __init__(self, predictor: Predictor, path: Path, charge: float | None, units: str | None = None) -> None:
        hub, trained = training_configuration(predictor)["Datahub"], predictor.units
        self.path, self.charge, self.domain = path, charge, predictor.domain
        data_format, features = format_of(path), hub["features"]
        if data_format in OWN_NAMES:
            features = find_features(path, features, [*columns_of(path, data_format)])
        self.features = features if data_format in (*OWN_NAMES, hub["data_format"]) else {}
        in_file = units_of_file(predictor, path, data_format, features, units, ["length"])
        self.length, self.factor = trained.likely_length, in_file.units.factor_to(trained, "length")
        unit = in_file.units.names["length"]
        log.info("%s: positions are read in %s, %s.", path, unit, in_file.said.get("length", "as in the training data"))
        self.check = Checks(DataSource(str(path), {"Q": "charge", **features}), trained.bohr)
        self.distances = ShortestDistances(self.domain.distances_in_angstrom(trained))
        self.charges: set[float] = set()
        self.compositions: set[str] = set()

    def __iter__(self) -> Iterator[Arrays]:
        """Read all structures, and yield ``N``, ``Za``, ``Ra`` and ``Q`` of some at a time.

        Raises:
            DataError: the file cannot be read, or a structure is broken.
        """
        for block in structure_blocks(self.path, self.features):
            # tensors are made of arrays that can be written to
            arrays = {name: np.array(values) for name, values in block.arrays.items()}
            arrays["Ra"] = arrays["Ra"] * self.factor
            if self.charge is not None:
                arrays["Q"] = np.full(len(arrays["N"]), self.charge)
            cells = None if block.cells is None else block.cells * self.factor
            self.check(Block(block.first, arrays, cells))
            self._compare(arrays)
            yield arrays

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
        """Warn of compositions and distances that the training data did not have."""
        if warning := unknown_compositions(self.domain, self.compositions):
            log.warning("%s: %s", self.path, warning)
        self.distances.report(
            "Predictions for these structures may mean nothing. Are their positions in the unit named above? "
            "If not, say --units."
        )
