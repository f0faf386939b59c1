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
from pyg_nnp.data.formats.readers import OWN_NAMES, columns_of, format_of
from pyg_nnp.data.labels import has_all_labels, has_labels
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import COMPARED, FEATURES, FIELDS, TARGETS
from pyg_nnp.inference.extrapolation import (
    ShortestDistances,
    training_configuration,
    unknown_charges,
    unknown_compositions,
)
from pyg_nnp.inference.file_units import ForceScale, as_trained, converted, units_in_evaluation
from pyg_nnp.inference.structures import find_features
from pyg_nnp.potential.predictor import Predictor, large_batch, predictions
from pyg_nnp.training.metrics import ALL, ErrorRow, ErrorTable

log = logging.getLogger(__name__)

# energies that are off by five times the spread of their errors, or more
_SEVERAL, _SHIFTED = 5, 0.98


def evaluate_file(
    predictor: Predictor,
    path: Path,
    mapping: Mapping[str, str],
    changes: Mapping[str, Any],
    part: str | None = None,
    units: str | None = None,
) -> list[ErrorRow]:
    """Return the errors of a potential on a data file, read as its training data were, with some changes.

    What is in other units is converted to those of the potential.

    Args:
        predictor: as training saved it, in evaluation mode.
        path: the file.
        mapping: standard name -> name in the file, for those that the training data had under another name.
        changes: to ``Datahub.transforms``.
        part: only the frames that training had for this part; None: all.
        units: of the file, as :func:`pyg_nnp.inference.file_units.units_of_file` takes them.

    Raises:
        DataError: the potential does not say how it was trained, or its units where numbers are to be converted, or the
            file does not hold what it must.
        ConfigError: what is given is not valid, or there is no such part.
    """
    config = configuration_for(predictor, path, mapping, changes)
    in_file = units_in_evaluation(predictor, config, path, units)
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
        data_path = Path(training_configuration(predictor)["Datahub"]["data_path"])
        if of_training and units is None and path.resolve() == data_path.resolve():
            in_file = as_trained(predictor)  # whatever the file says, this is how training has read it
        frames = torch.arange(len(dataset)) if part is None else _frames_of(config, dataset, part)
        distances = ShortestDistances({} if of_training else predictor.domain.distances_in_angstrom(predictor.units))
        _warn_of_missing(path, dataset, frames)
        size = large_batch(dataset.max_atoms, config.Trainer.batch_size)
        batches = converted(path, dataset.batches(frames, size), dataset.fields, in_file, predictor.units)
        rows, forces = _errors(predictor, dataset, batches, distances)
        unknown = [unknown_charges(predictor.domain, set(dataset.summary.charges))]
        if part is None:
            unknown.append(unknown_compositions(predictor.domain, dataset.summary.compositions))
    for warning in filter(None, unknown):
        log.warning("%s: %s", path, warning)
    distances.report(f"Errors there may be large. Are the positions of {path} in another unit? If so, say --units.")
    forces.report(path, in_file.units.or_else(predictor.units))
    if part is None:  # the energies of a part of the training have its reference
        _warn_of_shift(path, rows)
    return rows


def _frames_of(config: Config, dataset: MoleculeDataset, part: str) -> Tensor:
    splitter = config.Trainer.Splitter
    if part not in splitter.parts:
        raise ConfigError(f"--part {part}: training had no such part, only: {', '.join(splitter.parts)}.")
    return split_dataset(splitter, dataset.molecules, dataset.hash, dataset.folder)[part]


def _warn_of_missing(path: Path, dataset: MoleculeDataset, frames: Tensor) -> None:
    """Warn of labels that some frames lack."""
    for name in (name for name in TARGETS if name in dataset.fields):
        has, has_all = (of(dataset.summary, name)[frames.numpy()] for of in (has_labels, has_all_labels))
        if not has_all.all():
            in_part = f", {int((has & ~has_all).sum())} of them in part" if (has & ~has_all).any() else ""
            text = "%s: %d of %d frames have '%s' (%s)%s: its errors are of these."
            log.warning(text, path, has.sum(), len(has), dataset.sources[name], name, in_part)


def _errors(
    predictor: Predictor, dataset: MoleculeDataset, batches: Iterator[Batch], distances: ShortestDistances
) -> tuple[list[ErrorRow], ForceScale]:
    """Return the errors of all fields, and how the sizes of forces compare."""
    fields = [name for name in COMPARED if name in dataset.fields and name in predictor.outputs]
    table, forces = ErrorTable(fields), ForceScale()
    length = predictor.units.likely_length

    def with_distances() -> Iterator[Batch]:
        for batch in batches:
            distances.add(batch.Ra * length, batch.Za, batch.N)
            yield batch

    for batch, predicted in predictions(predictor, with_distances()):
        table.update(predicted, batch)
        if "Fa" in fields:
            forces.add(predicted["Fa"], batch.Fa)
    return table.rows(), forces


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
    # where the names of the training data are missing, those that pyg-nnp predict and ASE write count
    is_of_ase = data_format not in OWN_NAMES
    usual = {name: [one for one in (name, *FIELDS[name].ase * is_of_ase) if one in names] for name in predicted}
    standard = {name: found[0] for name, found in usual.items() if found and sources.get(name) not in names}
    sources |= standard | dict(mapping)
    targets = _targets(path, predicted, sources, mapping, names)
    transforms = {**hub["transforms"], **changes}
    # what ASE calls forces are forces, unless the training data had gradients there
    are_forces = "Fa" in standard or (is_of_ase and data_format != hub["data_format"] and "Fa" in usual)
    if are_forces and "Fa" not in mapping and "negative_gradient" not in changes:
        transforms["negative_gradient"] = False
    # the potential adds its reference energies itself, so these have no effect on errors
    transforms |= {"atomic_energy": None, "total_energy_normalization": False}
    transforms["negative_gradient"] = transforms["negative_gradient"] and "Fa" in targets
    features = {name: sources[name] for name in FEATURES if sources.get(name)}
    features = find_features(path, features, columns, [*mapping])
    if "Q" not in mapping and features.get("Q") not in names and predictor.domain.charges == (0.0,):
        features.pop("Q", None)  # without a name the charges are set to 0
    # what is there is compared, whatever the training asked of its data
    hub = {**hub, "allow_missing": list(targets), "group_weights": {}, "features": features, "targets": targets}
    hub |= {"data_path": str(path), "data_format": data_format}
    # there is one model; its loss may have labels that this file lacks
    loss = {"loss": {"rmse": dict.fromkeys(targets, 1.0)}}
    models = {name: {**model, **loss} for name, model in document["Modelhub"]["internal_FFs"].items()}
    changed = {"Datahub": {**hub, "transforms": transforms}, "Modelhub": {"internal_FFs": models}, "Metrics": {}}
    return config_from_dict({**document, **changed}, "the configuration of the potential")


def _targets(
    path: Path, predicted: Sequence[str], sources: Mapping[str, str], mapping: Mapping[str, str], names: Sequence[str]
) -> dict[str, str]:
    """Return the names of the labels to compare with; say which of the training the file lacks."""
    # an empty name says that the file has none
    targets = {name: sources[name] for name in predicted if mapping.get(name) or sources.get(name) in names}
    if not targets:
        expected = ", ".join(f"'{sources[name]}' ({name})" for name in predicted if sources.get(name))
        alike = {name: [alias for alias in FIELDS[name].aliases if alias in names] for name in predicted}
        maps = " ".join(f"--map {name}={of_field[0]}" for name, of_field in alike.items() if of_field)
        raise DataError(
            f"{path}: there is nothing to compare with. Expected {expected}; it has: {', '.join(names)}. "
            f"Give other names, {f'perhaps {maps}' if maps else 'such as --map E=energy'}."
        )
    if left_out := [name for name in predicted if sources.get(name) and name not in targets]:
        log.warning("%s has no %s: not compared.", path, ", ".join(f"'{sources[name]}' ({name})" for name in left_out))
    return targets
