"""Errors of a trained potential on other data."""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.data import MoleculeDataset, split_dataset
from pyg_nnp.data.formats.readers import columns_of, format_of
from pyg_nnp.data.formats.values import ArrayTypes
from pyg_nnp.data.total_charge import charge_arrays
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import COMPARED, FEATURES, FIELDS, TARGETS
from pyg_nnp.inference.extrapolation import (
    ShortestDistances,
    training_configuration,
    unknown_charges,
    unknown_compositions,
)
from pyg_nnp.potential.predictor import Predictor, large_batch, predictions
from pyg_nnp.training.metrics import ALL, ErrorRow, ErrorTable

log = logging.getLogger(__name__)

# energies that are off by five times the spread of their errors, or more
_SEVERAL, _SHIFTED = 5, 0.98
# features that files of structures have under names of their own
_OF_STRUCTURES = {"Ra": "positions", "Za": "elements"}


def evaluate_file(
    predictor: Predictor, path: Path, mapping: Mapping[str, str], changes: Mapping[str, Any], part: str | None = None
) -> list[ErrorRow]:
    """Return the errors of a potential on a data file, read as its training data were, with some changes.

    Args:
        predictor: as training saved it, in evaluation mode.
        path: the file.
        mapping: standard name -> name in the file, for those that the training data had under another name.
        changes: to ``Datahub.transforms``.
        part: only the frames that training had for this part; None: all.

    Raises:
        DataError: the potential does not say how it was trained, or the file does not hold what it must.
        ConfigError: what is given is not valid, or there is no such part.
    """
    config = configuration_for(predictor, path, mapping, changes)
    # a store in a folder of its own, so that nothing is left behind and nothing of others is used
    with tempfile.TemporaryDirectory(prefix="pyg_nnp_") as folder:
        dataset = MoleculeDataset.from_config(config, folder)
        of_training = dataset.summary.fingerprint == predictor.domain.fingerprint
        if part is None and of_training:
            log.warning("%s: these are the data of the training. Errors on what was not trained: --part test.", path)
        if part is not None and predictor.domain.fingerprint and not of_training:
            raise DataError(
                f"{path}: these are not the structures of the training, or they are in another order, so that nothing "
                f"tells which are its {part} part. Leave out --part, or give the data of the training."
            )
        frames = torch.arange(len(dataset)) if part is None else _frames_of(config, dataset, part)
        distances = ShortestDistances({} if of_training else predictor.domain.distances_in_angstrom(predictor.units))
        size = large_batch(dataset.max_atoms, config.Trainer.batch_size)
        rows, of_gradients = _errors(predictor, dataset, dataset.batches(frames, size), distances)
        unknown = [unknown_charges(predictor.domain, set(dataset.summary.charges))]
        if part is None:
            unknown.append(unknown_compositions(predictor.domain, dataset.summary.compositions))
    for warning in filter(None, unknown):
        log.warning("%s: %s", path, warning)
    distances.report(f"Errors there may be large. Are the positions of {path} in the unit of the training data?")
    _warn_of_sign(path, rows, of_gradients)
    if part is None:  # the energies of a part of the training have its reference
        _warn_of_shift(path, rows)
    return rows


def _frames_of(config: Config, dataset: MoleculeDataset, part: str) -> Tensor:
    splitter = config.Trainer.Splitter
    if part not in splitter.parts:
        raise ConfigError(f"--part {part}: training had no such part, only: {', '.join(splitter.parts)}.")
    return split_dataset(splitter, len(dataset), dataset.hash, dataset.folder)[part]


def _errors(
    predictor: Predictor, dataset: MoleculeDataset, batches: Iterator[Batch], distances: ShortestDistances
) -> tuple[list[ErrorRow], list[ErrorRow]]:
    """Return the errors of all fields, and those that the forces would have with the other sign."""
    fields = [name for name in COMPARED if name in dataset.fields and name in predictor.outputs]
    table, of_gradients = ErrorTable(fields), ErrorTable([name for name in fields if name == "Fa"])
    length = predictor.units.likely_length

    def with_distances() -> Iterator[Batch]:
        for batch in batches:
            distances.add(batch.Ra * length, batch.Za, batch.N)
            yield batch

    for batch, predicted in predictions(predictor, with_distances()):
        table.update(predicted, batch)
        of_gradients.update({name: -predicted[name] for name in of_gradients.fields}, batch)
    return table.rows(), of_gradients.rows()


def _warn_of_sign(path: Path, rows: Sequence[ErrorRow], of_gradients: Sequence[ErrorRow]) -> None:
    """Warn of forces that seem to be gradients, or the other way round."""
    of_forces = [row.rmse for row in (*rows, *of_gradients) if (row.field, row.of) == ("Fa", ALL)]
    if of_forces and of_forces[1] < of_forces[0] / 2:
        log.warning(
            "%s: the forces fit far better with the other sign. Are they gradients? "
            "Give --negative-gradient if they are, --no-negative-gradient if they are not.",
            path,
        )


def _warn_of_shift(path: Path, rows: Sequence[ErrorRow]) -> None:
    """Warn of energies that are all off by the same: their mean error is as large as the root mean square."""
    for row in rows:
        of_energies = (row.field, row.of) == ("E", ALL) and row.count >= _SEVERAL
        if of_energies and row.mae > _SHIFTED * row.rmse:
            log.warning("%s: all energies are off by about %.6g. Another unit, or another reference?", path, row.mae)


def configuration_for(
    predictor: Predictor, path: Path, mapping: Mapping[str, str], changes: Mapping[str, Any]
) -> Config:
    """Return the configuration of a potential's training with another data file, for :func:`evaluate_file`.

    Labels that the file lacks are left out, as long as nobody asked for them.

    Raises:
        DataError: the potential does not say how it was trained, or the file has no labels that it predicts.
        ConfigError: what is given is not valid.
    """
    document = training_configuration(predictor)
    hub = document["Datahub"]
    data_format = format_of(path) or hub["data_format"]
    columns = columns_of(path, data_format)
    names = list(columns)
    predicted = [name for name in TARGETS if name in predictor.outputs]
    sources = {**hub["features"], **hub["targets"]}
    # where the names of the training data are missing, standard ones count, as in what pyg-nnp predict writes
    standard = [name for name in predicted if name in names and sources.get(name) not in names]
    sources |= {name: name for name in standard} | dict(mapping)
    targets = _targets(path, predicted, sources, mapping, names)
    transforms = {**hub["transforms"], **changes}
    if "Fa" in standard and "Fa" not in mapping and "negative_gradient" not in changes:
        transforms["negative_gradient"] = False
    # the potential adds its reference energies itself, so these have no effect on errors
    transforms |= {"atomic_energy": None, "total_energy_normalization": False}
    transforms["negative_gradient"] = transforms["negative_gradient"] and "Fa" in targets
    features = {name: sources[name] for name in FEATURES if name in hub["features"] or name in mapping}
    _find_features(path, features, mapping, names)
    if "Q" not in mapping:
        _find_charge(path, features, columns, predictor.domain.charges == (0.0,))
    hub = {**hub, "data_path": str(path), "data_format": data_format, "features": features, "targets": targets}
    # there is one model; its loss may have labels that this file lacks
    loss = {"loss": {"rmse": dict.fromkeys(targets, 1.0)}}
    models = {name: {**model, **loss} for name, model in document["Modelhub"]["internal_FFs"].items()}
    changed = {"Datahub": {**hub, "transforms": transforms}, "Modelhub": {"internal_FFs": models}, "Metrics": {}}
    return config_from_dict({**document, **changed}, "the configuration of the potential")


def _targets(
    path: Path, predicted: Sequence[str], sources: Mapping[str, str], mapping: Mapping[str, str], names: Sequence[str]
) -> dict[str, str]:
    """Return the names of the labels to compare with; say which of the training the file lacks."""
    targets = {name: sources[name] for name in predicted if name in mapping or sources.get(name) in names}
    if not targets:
        expected = ", ".join(f"'{sources[name]}' ({name})" for name in predicted if name in sources)
        alike = {name: [alias for alias in FIELDS[name].aliases if alias in names] for name in predicted}
        maps = " ".join(f"--map {name}={of_field[0]}" for name, of_field in alike.items() if of_field)
        raise DataError(
            f"{path}: there is nothing to compare with. Expected {expected}; it has: {', '.join(names)}. "
            f"Give other names, {f'perhaps {maps}' if maps else 'such as --map E=energy'}."
        )
    if left_out := [name for name in predicted if name in sources and name not in targets]:
        log.warning("%s has no %s: not compared.", path, ", ".join(f"'{sources[name]}' ({name})" for name in left_out))
    return targets


def _find_features(path: Path, features: dict[str, str], mapping: Mapping[str, str], names: Sequence[str]) -> None:
    """Take the names of inputs that the file has, such as those of files of structures, for those that it lacks."""
    for name, meaning in _OF_STRUCTURES.items():
        known = [alias for alias in (name, *FIELDS[name].aliases) if alias in names]
        if name not in mapping and features.get(name) not in names and known:
            log.info("%s: '%s' is taken for the %s.", path, known[0], meaning)
            features[name] = known[0]
    if "N" not in mapping and features.get("N") not in names:
        features.pop("N", None)  # which can be counted
        features |= {"N": "N"} if "N" in names else {}


def _find_charge(path: Path, features: dict[str, str], columns: ArrayTypes, only_neutral: bool) -> None:
    """Take the total charge where structures have it; say what else looks like it."""
    found = charge_arrays(columns, features.get("Ra", ""), features.get("Q"))
    if found and found[0] != features.get("Q"):
        log.info("%s: '%s' is taken for the total charge.", path, found[0])
    if found:
        features["Q"] = found[0]
    elif only_neutral:
        # without a name the charges are set to 0
        features.pop("Q", None)
    if found[1:]:
        log.warning("%s: total charges are those of '%s'; not read: %s.", path, found[0], ", ".join(found[1:]))
