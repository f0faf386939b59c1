"""The units of a file that a potential is used on: given, stated in it, or those of its format."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.config import Config
from pyg_nnp.data.formats.readers import OWN_NAMES
from pyg_nnp.data.formats.stated_units import IN_ASE, StatedUnits, stated_units
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import FIELDS, Kind
from pyg_nnp.inference.extrapolation import training_configuration
from pyg_nnp.potential.predictor import Predictor
from pyg_nnp.runtime.data_path import DataPath
from pyg_nnp.runtime.logs import NOTICE
from pyg_nnp.units import ENERGIES, LENGTHS, OPTIONS, Units

log = logging.getLogger(__name__)

# forces that a potential predicts well are correlated so much, and never off by so much
_CORRELATED, _OTHER_UNIT, _NEAR = 0.9, 1.5, 0.15

AS_TRAINED = "training"
"""Given for a file that is in the units of the training data, whatever these are."""


def as_trained(predictor: Predictor) -> StatedUnits:
    """Return the units of the training data."""
    return StatedUnits.of(predictor.units, "as in the training data")


def units_of_file(
    predictor: Predictor,
    path: Path | DataPath,
    data_format: str | None,
    sources: Mapping[str, str],
    given: str | None,
    kinds: Sequence[Kind],
    *,
    is_mixed: bool = False,
) -> StatedUnits:
    """Return the units of a file, so that it can be converted to those of a potential.

    They are those that are given, else those that the file states, else those of the training data where these are of
    the same format or names and units of the format are the user's own, else those of ASE.

    Args:
        predictor: the potential.
        path: the file.
        data_format: of the file; None for several, and for any other that ASE reads.
        sources: standard name -> name in the file, of the fields that are read from it.
        given: units separated by commas, such as ``eV,Angstrom``; :data:`AS_TRAINED`; None: not given.
        kinds: ``energy``, ``length`` or both: what is to be converted.
        is_mixed: whether files are of several formats, and so at least in part as the user has them.

    Raises:
        ConfigError: what is given is no known unit.
        DataError: the potential does not say a unit that is needed, or the file cannot be read.
    """
    trained = predictor.units
    if given == AS_TRAINED:
        return as_trained(predictor)
    of_training = training_configuration(predictor)["Datahub"]["data_format"]
    is_own = is_mixed or data_format in OWN_NAMES or data_format == of_training
    found = stated_units(path, data_format, sources) if data_format or is_mixed else StatedUnits.of(Units(), "")
    for doubt in found.doubts:
        log.warning("%s: %s.", path, doubt)
    if given is not None:
        found = StatedUnits.of(_parsed(given), "as given").or_else(found)
    found = found.or_else(as_trained(predictor) if is_own else IN_ASE)
    lacking = {kind for kind in kinds if kind not in trained.texts and kind in found.units.texts}
    if lacking and is_own and given is None:
        # as in the training data, of which nobody knows more
        known = found.units.hartree if trained.hartree else None, found.units.bohr if trained.bohr else None
        return replace(found, units=Units(*known))
    if lacking:
        units = " and ".join(found.units.texts.values())
        options = " and ".join(option for option in OPTIONS if option not in trained.options)
        raise DataError(
            f"{path}: it is in {units}, but the potential does not say its units. Train it with {options} in "
            f"build_params, or say --units {AS_TRAINED} where the file is in the units of the training data."
        )
    return found.or_else(as_trained(predictor))


def units_in_evaluation(predictor: Predictor, config: Config, path: DataPath, given: str | None) -> StatedUnits:
    """Return the units of a file with labels, as :func:`units_of_file` does, and let its configuration have them."""
    hub = config.Datahub
    kinds: list[Kind] = ["length", "energy"] if {"E", "Fa"} & {*hub.targets} else ["length"]
    sources, is_mixed = {**hub.features, **hub.targets}, hub.data_format is None
    found = units_of_file(predictor, path, hub.data_format, sources, given, kinds, is_mixed=is_mixed)
    for model in config.Modelhub.internal_FFs.values():
        model.build_params.update(found.units.options)
    return found


def converted(
    path: Path | DataPath, batches: Iterable[Batch], fields: Iterable[str], in_file: StatedUnits, units: Units
) -> Iterator[Batch]:
    """Yield the batches of a file in the units of a potential, and say what is converted."""
    factors = {name: in_file.units.factor_to(units, FIELDS[name].unit) for name in fields}
    factors = {name: factor for name, factor in factors.items() if factor != 1}
    if factors:
        changes = [
            f"{in_file.units.names[kind]} to {units.names[kind]} ({in_file.said[kind]})"
            for kind in ("length", "energy")
            if any(kind in FIELDS[name].unit for name in factors) and in_file.units.names[kind] != units.names[kind]
        ]
        log.log(NOTICE, "%s: converted from %s.", path, ", and from ".join(changes))
    for batch in batches:
        for name, factor in factors.items():
            batch[name] = batch[name] * factor
        yield batch


class ForceScale:
    """By what forces of a file have to be multiplied to be those predicted: -1 for gradients, else another unit."""

    def __init__(self) -> None:
        self.predicted = self.given = self.product = 0.0

    def add(self, predicted: Tensor, given: Tensor) -> None:
        """Add the (A, 3) predicted forces of some molecules, and those of the file, which may be missing (NaN)."""
        known = given.isfinite()
        ours, theirs = predicted[known].double(), given[known].double()
        self.predicted += float(ours.square().sum())
        self.given += float(theirs.square().sum())
        self.product += float((ours * theirs).sum())

    def report(self, path: Path | DataPath, used: Units) -> None:
        """Warn of forces that seem to be gradients, or the other way round, or in another unit than the ``used``."""
        if self._rest(-1) < self._rest(1) / 4:
            log.warning(
                "%s: the forces fit far better with the other sign. Are they gradients? "
                "Give --negative-gradient if they are, --no-negative-gradient if they are not.",
                path,
            )
        if not self.given or self.product**2 < _CORRELATED**2 * self.predicted * self.given:
            return
        factor = abs(self.product) / self.given
        if abs(math.log(factor)) < math.log(_OTHER_UNIT):
            return
        likely = _likely_unit(factor, used)
        text = f"{path}: the forces fit far better if they are multiplied by {factor:.4g}"
        if likely:
            unit, given = likely.names["energy/length"], ",".join(likely.texts.values())
            text += f", as if they were in {unit}. If they are, say --units {given}"
        log.warning("%s.", text)

    def _rest(self, factor: float) -> float:
        """Return the sum of the squares of predicted forces minus a multiple of those given."""
        return self.predicted - 2 * factor * self.product + factor**2 * self.given


def _likely_unit(factor: float, used: Units) -> Units | None:
    """Return the units in which forces are ``factor`` times what they are in those that are ``used``."""
    if len(used.texts) < 2:
        return None
    lengths = sorted(LENGTHS, key=lambda bohr: bohr != used.bohr)
    units = [Units(hartree, bohr) for bohr in lengths for hartree in ENERGIES]
    ratios = [unit.in_ase("energy/length") / used.in_ase("energy/length") / factor for unit in units]
    return next((unit for unit, ratio in zip(units, ratios, strict=True) if abs(ratio - 1) < _NEAR), None)


def _parsed(given: str) -> Units:
    """Return the units in a text such as ``eV,Angstrom``."""
    units = Units()
    for part in given.split(","):
        found = Units.parse(part)
        advice = f"Write --units eV,Angstrom, or --units {AS_TRAINED} for those of the training data."
        if found is None:
            raise ConfigError(f"--units {given}: '{part}' is no known unit of energy or length. {advice}")
        if (found.hartree and units.hartree) or (found.bohr and units.bohr):
            raise ConfigError(f"--units {given}: these are two units of the same. {advice}")
        units = units.or_else(found)
    return units
