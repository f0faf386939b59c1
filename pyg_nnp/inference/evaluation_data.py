"""What errors are computed on: a data file, read as those of the training were, and the frames to compare."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.data import MoleculeDataset, split_of
from pyg_nnp.data.formats.readers import OWN_NAMES, columns_of, formats_of
from pyg_nnp.data.labels import has_all_labels, has_labels
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import FEATURES, FIELDS, TARGETS
from pyg_nnp.inference.extrapolation import frames_of_molecules, training_configuration
from pyg_nnp.inference.structures import find_features
from pyg_nnp.potential.predictor import Predictor

if TYPE_CHECKING:
    from pyg_nnp.data.source import ArrayTypes
    from pyg_nnp.runtime.data_path import DataPath

log = logging.getLogger(__name__)


def configuration_for(
    predictor: Predictor,
    path: "DataPath",
    mapping: Mapping[str, str],
    changes: Mapping[str, Any],
    *,
    with_parts: bool = False,
) -> Config:
    """Return the configuration of a potential's training with other data files, perhaps with the parts of the training.

    Labels that the file lacks are left out, as long as nobody asked for them.

    Raises:
        DataError: the potential does not say how it was trained, or the file has no labels that it predicts.
        ConfigError: what is given is not valid.
    """
    document = training_configuration(predictor)
    hub = document["Datahub"]
    formats = found if (found := formats_of(path)) != {None} else {hub["data_format"]}
    data_format = next(iter(formats)) if len(formats) == 1 else None
    columns = columns_of(path, data_format)
    names, predicted = list(columns), [name for name in TARGETS if name in predictor.outputs]
    sources = {**hub["features"], **hub["targets"]}
    # where the names of the training data are missing, those that pyg-nnp predict and ASE write count
    is_of_ase = formats.isdisjoint(OWN_NAMES)
    usual = {name: [one for one in (name, *FIELDS[name].ase * is_of_ase) if one in names] for name in predicted}
    standard = {name: found[0] for name, found in usual.items() if found and sources.get(name) not in names}
    sources |= standard | dict(mapping)
    targets = _targets(path, predicted, sources, mapping, names)
    # what ASE calls forces are forces, unless the training data had gradients there
    are_forces = "Fa" in standard or (is_of_ase and data_format != hub["data_format"] and "Fa" in usual)
    transforms = _transforms(hub["transforms"], changes, targets, are_forces and "Fa" not in mapping)
    features = _features(predictor, path, sources, columns, mapping, is_of_ase)
    if "cell" not in features and "S" in targets and not mapping.get("S"):
        log.warning("%s has no periodic cell, which '%s' (S) would be of: not compared.", path, targets.pop("S"))
    # what is there is compared, whatever the training asked of its data
    hub = {**hub, "group_weights": {}, "features": features, "targets": targets}
    may_be_missing = [*targets, *(["Q"] if features.get("Q") in columns else [])]
    hub |= {"data_path": path.given, "data_format": data_format, "allow_missing": may_be_missing}
    # there is one model; its loss may have labels that this file lacks
    loss = {"loss": {"rmse": dict.fromkeys(targets, 1.0)}}
    models = {name: {**model, **loss} for name, model in document["Modelhub"]["internal_FFs"].items()}
    changed = {"Datahub": {**hub, "transforms": transforms}, "Modelhub": {"internal_FFs": models}, "Metrics": {}}
    # what divides the frames need not be in the file
    trainer = document["Trainer"] | ({} if with_parts else {"Splitter": {}})
    return config_from_dict({**document, **changed, "Trainer": trainer}, "the configuration of the potential")


def _transforms(
    of_training: Mapping[str, Any], changes: Mapping[str, Any], targets: Mapping[str, str], are_forces: bool
) -> dict[str, Any]:
    transforms = {**of_training, **changes}
    is_gradient = transforms["negative_gradient"] and (not are_forces or "negative_gradient" in changes)
    # the potential adds its reference energies itself, so these have no effect on errors
    transforms |= {"atomic_energy": None, "total_energy_normalization": False}
    return transforms | {"negative_gradient": is_gradient and "Fa" in targets}


def _features(
    predictor: Predictor,
    path: "DataPath",
    sources: Mapping[str, str],
    columns: "ArrayTypes",
    mapping: Mapping[str, str],
    is_of_ase: bool,
) -> dict[str, str]:
    """Return the names of the inputs."""
    features = {name: sources[name] for name in FEATURES if sources.get(name)}
    if is_of_ase and "cell" in columns:  # which only what is periodic has
        features.setdefault("cell", "cell")
    features = find_features(path, features, columns, [*mapping])
    if "Q" not in mapping and features.get("Q") not in columns and predictor.domain.charges == (0.0,):
        features.pop("Q", None)  # without a name the charges are set to 0
    return features


def _targets(
    path: "DataPath",
    predicted: Sequence[str],
    sources: Mapping[str, str],
    mapping: Mapping[str, str],
    names: Sequence[str],
) -> dict[str, str]:
    """Return the names of the labels to compare with; say which of the training the file lacks."""
    # an empty name says that the file has none
    targets = {name: sources[name] for name in predicted if mapping.get(name) or sources.get(name) in names}
    if not targets:
        expected = ", ".join(f"'{sources[name]}' ({name})" for name in predicted if sources.get(name))
        maps = _likely_maps(predicted, names)
        raise DataError(
            f"{path}: there is nothing to compare with. Expected {expected}; it has: {', '.join(names)}. "
            f"Give other names, {f'perhaps {maps}' if maps else 'such as --map E=energy'}."
        )
    if left_out := [name for name in predicted if sources.get(name) and name not in targets]:
        text, maps = ", ".join(f"'{sources[name]}' ({name})" for name in left_out), _likely_maps(left_out, names)
        log.warning("%s has no %s: not compared.%s", path, text, maps and f" Perhaps {maps}?")
    return targets


def _likely_maps(fields: Sequence[str], names: Sequence[str]) -> str:
    """Return the options that take some fields from usual names, of those that there are."""
    alike = {name: [alias for alias in FIELDS[name].aliases if alias in names] for name in fields}
    return " ".join(f"--map {name}={of_field[0]}" for name, of_field in alike.items() if of_field)


def compared_frames(
    predictor: Predictor, config: Config, path: "DataPath", dataset: MoleculeDataset, part: str | None
) -> Tensor:
    """Return (n,) frames to compare: all, or those of a part of the training; warn of labels that some of them lack.

    Isolated atoms are left out where those of the training gave its reference energies.

    Raises:
        ConfigError: there is no such part.
    """
    frames = (
        frames_of_molecules(predictor, path, dataset.summary) if part is None else _frames_of(config, dataset, part)
    )
    _warn_of_missing(path, dataset, frames)
    return frames


def _frames_of(config: Config, dataset: MoleculeDataset, part: str) -> Tensor:
    splitter = config.Trainer.Splitter
    if part not in splitter.parts:
        raise ConfigError(f"--part {part}: training had no such part, only: {', '.join(splitter.parts)}.")
    return split_of(config, dataset)[part]


def _warn_of_missing(path: "DataPath", dataset: MoleculeDataset, frames: Tensor) -> None:
    """Warn of labels that some frames lack."""
    for name in (name for name in TARGETS if name in dataset.fields):
        has, has_all = (of(dataset.summary, name)[frames.numpy()] for of in (has_labels, has_all_labels))
        if not has_all.all():
            in_part = f", {int((has & ~has_all).sum())} of them in part" if (has & ~has_all).any() else ""
            text = "%s: %d of %d frames have '%s' (%s)%s: its errors are of these."
            log.warning(text, path, has.sum(), len(has), dataset.sources[name], name, in_part)
