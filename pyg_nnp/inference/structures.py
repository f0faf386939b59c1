"""Structures to be predicted: read piece by piece, checked, and compared with the training data."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyg_nnp.data.formats.readers import OWN_NAMES, columns_of, format_of
from pyg_nnp.data.formats.structures import structure_blocks
from pyg_nnp.data.frame_checks import Checks
from pyg_nnp.data.source import ArrayTypes, DataSource, FileStart, begin_file
from pyg_nnp.data.total_charge import charge_arrays, given_charge
from pyg_nnp.fields import FIELDS, OF_CELLS
from pyg_nnp.functional.composition import formulas
from pyg_nnp.inference.extrapolation import (
    ShortestDistances,
    reads_charges,
    training_configuration,
    unknown_charges,
    unknown_compositions,
)
from pyg_nnp.inference.file_units import units_of_file
from pyg_nnp.potential.predictor import Predictor

if TYPE_CHECKING:
    from pyg_nnp.runtime.data_path import DataPath

log = logging.getLogger(__name__)

_MOST_SHOWN = 5

Arrays = dict[str, NDArray[Any]]
"""Fields of some frames, one after the other, under standard names in the units of the training."""


# inputs that files of others have under names of their own
_USUAL = {"Ra": "positions", "Za": "elements"}


def find_features(
    path: "Path | DataPath", features: Mapping[str, str], columns: ArrayTypes, given: Sequence[str] = ()
) -> dict[str, str]:
    """Return the names of inputs in a file, where those of the training data are missing the usual ones.

    Args:
        path: the file.
        features: standard name -> name in the training data.
        columns: what the file has.
        given: standard names whose source is not to be changed.
    """
    found = dict(features)
    for name, meaning in _USUAL.items():
        known = [alias for alias in (name, *FIELDS[name].aliases) if alias in columns]
        if name not in given and found.get(name) not in columns and known:
            log.info("%s: '%s' is taken for the %s.", path, known[0], meaning)
            found[name] = known[0]
    if "N" not in given and found.get("N") not in columns:
        found.pop("N", None)  # which can be counted
        found |= {"N": "N"} if "N" in columns else {}
    _find_cells(path, found, columns, given)
    charges = [] if "Q" in given else charge_arrays(columns, found.get("Ra", ""), found.get("Q"))
    if charges and charges[0] != found.get("Q"):
        log.info("%s: '%s' is taken for the total charge.", path, charges[0])
        found["Q"] = charges[0]
    if charges[1:]:
        log.warning("%s: total charges are those of '%s'; not read: %s.", path, charges[0], ", ".join(charges[1:]))
    return found


def _find_cells(path: "Path | DataPath", found: dict[str, str], columns: ArrayTypes, given: Sequence[str]) -> None:
    """Let potentials of periodic systems have the cells of a file, under a usual name if not under theirs."""
    for name in OF_CELLS:
        if name in given or name not in found or found[name] in columns:
            continue
        known = [alias for alias in (name, *FIELDS[name].aliases) if alias in columns]
        if known:
            log.info("%s: '%s' is taken for %s.", path, known[0], name)
            found[name] = known[0]
        else:
            del found[name]
    if "cell" not in found:
        found.pop("pbc", None)


class Structures:
    """The structures of a file, in the units of a potential.

    Args:
        predictor: the potential.
        path: the file, or several of one format.
        charge: total charge of all structures [e]; None takes that of the file, under the name of the training data or
            a usual one, and 0 where it has none.
        units: of the file, as :func:`pyg_nnp.inference.file_units.units_of_file` takes them.

    Raises:
        ConfigError: ``units`` are not known.
        DataError: the potential does not say how it was trained, or its units where positions are to be converted; or
            the charge is no number.
    """

    def __init__(self, predictor: Predictor, path: "DataPath", charge: float | None, units: str | None = None) -> None:
        hub, trained = training_configuration(predictor)["Datahub"], predictor.units
        self.path, self.domain = path, predictor.domain
        self.charge = None if charge is None else given_charge(charge)
        data_format, features = format_of(path), hub["features"]
        if data_format in OWN_NAMES:
            features = find_features(path, features, columns_of(path, data_format))
        self.features = features
        in_file = units_of_file(predictor, path, data_format, features, units, ["length"])
        self.length, self.factor = trained.likely_length, in_file.units.factor_to(trained, "length")
        unit = in_file.units.names["length"]
        log.info("%s: positions are read in %s, %s.", path, unit, in_file.said.get("length", "as in the training data"))
        self.starts: list[FileStart] = []
        self.source = DataSource(str(path), {"Q": "charge", **features}, starts=self.starts)
        self.check = Checks(self.source, trained.bohr)
        self.distances = ShortestDistances(self.domain.distances_in_angstrom(trained))
        self.charges: set[float] = set()
        self.others: set[float] = set()  # of the file, which are not taken
        self.silent = self.count = 0  # structures that say no charge, and all
        self.reads_charges = reads_charges(predictor)
        self.compositions: set[str] = set()

    def __iter__(self) -> Iterator[Arrays]:
        """Read all structures, and yield ``N``, ``Za``, ``Ra``, ``Q``, and in cells ``cell`` and ``pbc``, of some.

        Raises:
            DataError: the file cannot be read, or a structure is broken.
        """
        for block in structure_blocks(self.path, self.features):
            begin_file(self.starts, block)
            # tensors are made of arrays that can be written to
            arrays = {name: np.array(values) for name, values in block.arrays.items()}
            for name in (name for name in ("Ra", "cell") if name in arrays):
                arrays[name] = arrays[name] * self.factor
            arrays["Q"] = self._charges(arrays["Q"])
            cells = None if block.cells is None else block.cells * self.factor
            self.check(replace(block, arrays=arrays, cells=cells))
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
        of_cells = [torch.from_numpy(arrays[name]) for name in ("cell", "pbc") if name in arrays]
        cells = [of_cells[0] * self.length, of_cells[1]] if of_cells else []
        self.distances.add(Ra * self.length, Za, N, *cells)
        charges = set(arrays["Q"].tolist())
        if warning := unknown_charges(self.domain, charges - self.charges):
            log.warning("%s", warning)
        self.charges |= charges
        self.compositions.update(formulas(N, Za, *of_cells[1:]))

    def report(self) -> None:
        """Warn of charges that are not those of the file, and of what the training data did not have."""
        if self.others:
            listed = ", ".join(f"{charge:g}" for charge in sorted(self.others)[:_MOST_SHOWN])
            log.warning("%s: the total charge %g was given; the file says %s.", self.path, self.charge, listed)
        if self.charge is None and self.silent and self.reads_charges:
            # where some say it, it may be forgotten in others
            level = logging.INFO if self.silent == self.count else logging.WARNING
            text = "%s: %d of %d structures say no total charge; it is taken to be 0."
            log.log(level, text, self.path, self.silent, self.count)
        if warning := unknown_compositions(self.domain, self.compositions):
            log.warning("%s: %s", self.path, warning)
        self.distances.report(
            "Predictions for these structures may mean nothing. Are their positions in the unit named above? "
            "If not, say --units."
        )
