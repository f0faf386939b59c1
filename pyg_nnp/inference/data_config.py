"""The configuration of a potential's training, with another data file in the place of the training data."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.data.formats.readers import file_names, format_of
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FEATURES, FIELDS, TARGETS
from pyg_nnp.potential.predictor import Predictor

log = logging.getLogger(__name__)

# features that files of structures have under names of their own
_OF_STRUCTURES = {"Ra": "positions", "Za": "elements", "Q": "total charge"}


def training_configuration(predictor: Predictor) -> Mapping[str, Any]:
    """Return the configuration that a potential was trained with, as nested dicts.

    Raises:
        DataError: it does not say.
    """
    if predictor.configuration is None:
        raise DataError("this potential does not say with which configuration it was trained. Train it again.")
    return predictor.configuration


def configuration_for(
    predictor: Predictor, path: Path, mapping: Mapping[str, str], changes: Mapping[str, Any]
) -> Config:
    """Return the configuration of a potential's training with another data file.

    Labels that the file lacks are left out, as long as nobody asked for them.

    Args:
        predictor: the potential.
        path: the file.
        mapping: standard name -> name in the file, for those that the training data had under another name.
        changes: to ``Datahub.transforms``.

    Raises:
        DataError: the potential does not say how it was trained, or the file has no labels that it predicts.
        ConfigError: what is given is not valid.
    """
    document = training_configuration(predictor)
    hub = document["Datahub"]
    data_format = format_of(path) or hub["data_format"]
    names = file_names(path, data_format)
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
    features = _features(path, features, mapping, names, predictor.domain.charges == (0.0,))
    hub = {**hub, "data_path": str(path), "data_format": data_format, "features": features, "targets": targets}
    # there is one model; its loss may have labels that this file lacks
    models = {
        name: {**model, "loss": {"rmse": dict.fromkeys(targets, 1.0)}}
        for name, model in document["Modelhub"]["internal_FFs"].items()
    }
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


def _features(
    path: Path, features: dict[str, str], mapping: Mapping[str, str], names: Sequence[str], only_neutral: bool
) -> dict[str, str]:
    """Return the names of the inputs in the file, those of files of structures among them.

    Args:
        path: the file.
        features: standard name -> name in the training data.
        mapping: what the user has said of this file.
        names: all names in the file.
        only_neutral: whether all molecules of the training had charge 0.
    """
    features = dict(features)
    for name, meaning in _OF_STRUCTURES.items():
        known = [alias for alias in (name, *FIELDS[name].aliases) if alias in names]
        if name not in mapping and features.get(name) not in names and known:
            log.info("%s: '%s' is taken for the %s.", path, known[0], meaning)
            features[name] = known[0]
    if "Q" not in mapping and features.get("Q") not in names and only_neutral:
        # without a name the charges are set to 0
        features.pop("Q", None)
    if "N" not in mapping and features.get("N") not in names:
        features.pop("N", None)  # which can be counted
        features |= {"N": "N"} if "N" in names else {}
    return features
