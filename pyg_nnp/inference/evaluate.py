"""How good a trained potential is on other data: ``pyg-nnp evaluate``."""

import csv
import io
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.table import Table
from torch import Tensor

from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.data import MoleculeDataset, split_dataset
from pyg_nnp.data.formats.readers import file_names, format_of
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import FEATURES, FIELDS, TARGETS
from pyg_nnp.inference.extrapolation import ClosestWatch, compositions_never_seen
from pyg_nnp.potential.cuda_graphs import Replayed
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training.fit import large_batch
from pyg_nnp.training.metrics import ALL, ErrorRow, ErrorTable

log = logging.getLogger(__name__)

# energies that are off by five times the spread of their errors, or more
_SEVERAL, _SHIFTED = 5, 0.98


def evaluate_file(
    potential: Potential, path: Path, mapping: Mapping[str, str], changes: Mapping[str, Any], part: str | None = None
) -> list[ErrorRow]:
    """Return the errors of a potential on a data file, read as its training data were unless told otherwise.

    Args:
        potential: as training saved it.
        path: the file.
        mapping: standard name -> name in the file, for those that the training data had under another name.
        changes: to ``Datahub.transforms``.
        part: only the frames that training had for this part; None: all.

    Raises:
        DataError: the potential does not say how it was trained, or the file does not hold what it must.
        ConfigError: what is given is not valid, or there is no such part.
    """
    config = configuration_for(potential, path, mapping, changes)
    # a store in a folder of its own, so that nothing is left behind and nothing of others is used
    with tempfile.TemporaryDirectory(prefix="pyg_nnp_") as folder:
        dataset = MoleculeDataset.from_config(config, folder)
        known = potential.domain.fingerprint
        are_known = dataset.fingerprint == known
        if part is None and are_known:
            log.warning("%s: these are the data of the training. Errors on what was not trained: --part test.", path)
        if part is not None and known and not are_known:
            raise DataError(
                f"{path}: these are not the structures of the training, or they are in another order, so that nothing "
                f"tells which are its {part} part. Leave out --part, or give the data of the training."
            )
        frames = torch.arange(len(dataset)) if part is None else _frames_of(config, dataset, part)
        fields = [name for name in (*TARGETS, "Q") if name in dataset.fields and name in potential.outputs]
        size = large_batch(dataset, config.Trainer.batch_size)
        unknown = "" if part is not None else compositions_never_seen(potential.domain, dataset.compositions)
        table, turned = ErrorTable(fields), ErrorTable([name for name in fields if name == "Fa"])
        predict = Replayed(potential)
        length = potential.units.likely_length
        closest = ClosestWatch(potential.domain.distances_in_angstrom(potential.units))
        for batch in dataset.batches(frames, size):
            if not are_known:
                closest.look(batch.Ra * length, batch.Za, batch.N)
            batch = batch.to(potential.device)
            predicted = predict(batch)
            table.update(predicted, batch)
            turned.update({name: -predicted[name] for name in turned.fields}, batch)
        rows = table.rows()
    if unknown:
        log.warning("%s: %s", path, unknown)
    closest.report(f"Errors there may be large. Are the positions of {path} in the unit of the training data?")
    of_forces = [row.rmse for row in (*rows, *turned.rows()) if (row.field, row.of) == ("Fa", ALL)]
    if of_forces and of_forces[1] < of_forces[0] / 2:
        log.warning(
            "%s: the forces fit far better with the other sign. Are they gradients? "
            "Give --negative-gradient if they are, --no-negative-gradient if they are not.",
            path,
        )
    # of energies that are all off by the same the mean error is as large as the root mean square
    of_energies = [row for row in rows if (row.field, row.of) == ("E", ALL) and row.count >= _SEVERAL]
    for row in of_energies if part is None else ():  # those of training have its reference
        if row.mae > _SHIFTED * row.rmse:
            log.warning("%s: all energies are off by about %.6g. Another unit, or another reference?", path, row.mae)
    return rows


def configuration_for(
    potential: Potential, path: Path, mapping: Mapping[str, str], changes: Mapping[str, Any]
) -> Config:
    """Return the configuration of a potential's training with another data file.

    Labels that the file lacks are left out, as long as nobody asked for them.

    Raises:
        DataError: the potential does not say how it was trained, or the file has no labels that it predicts.
        ConfigError: what is given is not valid.
    """
    document = trained_with(potential)
    hub = document["Datahub"]
    data_format = format_of(path) or hub["data_format"]
    names = file_names(path, data_format)
    predicted = [name for name in TARGETS if name in potential.outputs]
    sources = {**hub["features"], **hub["targets"]}
    transforms = {**hub["transforms"], **changes}
    # where the names of the training data are missing, standard ones count, as in what pyg-nnp predict writes
    standard = [name for name in predicted if name in names and sources.get(name) not in names]
    if "Fa" in standard and "Fa" not in mapping and "negative_gradient" not in changes:
        transforms["negative_gradient"] = False
    sources |= {name: name for name in standard} | dict(mapping)
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
    # of no effect on what is compared: the potential adds its reference energies itself
    transforms |= {"atomic_energy": None, "total_energy_normalization": False}
    transforms["negative_gradient"] = transforms["negative_gradient"] and "Fa" in targets
    features = {name: sources[name] for name in FEATURES if name in hub["features"] or name in mapping}
    # files of structures have names of their own for what every structure has
    for name, what in (("Ra", "positions"), ("Za", "elements"), ("Q", "total charge")):
        known = [alias for alias in (name, *FIELDS[name].aliases) if alias in names]
        if name not in mapping and features.get(name) not in names and known:
            log.info("%s: '%s' is taken for the %s.", path, known[0], what)
            features[name] = known[0]
    if "Q" not in mapping and features.get("Q") not in names and potential.domain.charges == (0.0,):
        # it knows no other charge
        features.pop("Q", None)
    if "N" not in mapping and features.get("N") not in names:
        features.pop("N", None)  # which can be counted
        features |= {"N": "N"} if "N" in names else {}
    hub = {**hub, "data_path": str(path), "data_format": data_format, "features": features, "targets": targets}
    # there is one model; its loss may have labels that this file lacks
    models = {
        name: {**model, "loss": {"rmse": dict.fromkeys(targets, 1.0)}}
        for name, model in document["Modelhub"]["internal_FFs"].items()
    }
    changed = {"Datahub": {**hub, "transforms": transforms}, "Modelhub": {"internal_FFs": models}, "Metrics": {}}
    return config_from_dict({**document, **changed}, "the configuration of the potential")


def trained_with(potential: Potential) -> dict[str, Any]:
    """Return the configuration that a potential was trained with, as nested dicts.

    Raises:
        DataError: it does not say.
    """
    document = potential.spec.get("config")
    if not isinstance(document, dict):
        raise DataError("this potential does not say with which configuration it was trained. Train it again.")
    return document


def _frames_of(config: Config, dataset: MoleculeDataset, part: str) -> Tensor:
    splitter = config.Trainer.Splitter
    if part not in splitter.parts:
        raise ConfigError(f"--part {part}: training had no such part, only: {', '.join(splitter.parts)}.")
    return split_dataset(splitter, len(dataset), dataset.hash, dataset.folder)[part]


def table_of(rows: Sequence[ErrorRow], units: Mapping[str, str]) -> Table:
    """Return the errors as a table for the terminal; ``units`` are names by kind of unit."""
    note = "Errors of vectors are those of their components."
    if any(row.field == "Q" for row in rows):
        note += "\nQ: the sum of the charges before ChargeConservation corrects them."
    table = Table(box=box.SIMPLE_HEAD, caption=note, caption_justify="left")
    for heading in ("field", "of", "count", "MAE", "RMSE", "maximum", "unit"):
        table.add_column(heading, justify="left" if heading in ("field", "of", "unit") else "right")
    for row in rows:
        name, of, count, *errors = astuple(row)
        table.add_row(
            name,
            of,
            str(count),
            *(f"{error:.6g}" for error in errors),
            units[FIELDS[name].unit],
            end_section=row is rows[-1],
        )
    return table


def json_of(rows: Sequence[ErrorRow]) -> dict[str, dict[str, dict[str, float]]]:
    """Return field -> what of -> kind of error -> value."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        found.setdefault(row.field, {})[row.of] = {key: getattr(row, key) for key in ("count", "mae", "rmse", "max")}
    return found


def csv_of(rows: Sequence[ErrorRow]) -> bytes:
    """Return the errors as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(ErrorRow.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, rows))
    return text.getvalue().encode()
