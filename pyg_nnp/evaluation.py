"""How good a trained potential is on other data: ``pyg-nnp evaluate``."""

import csv
import io
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from ase.data import atomic_numbers, chemical_symbols
from rich import box
from rich.table import Table
from torch import Tensor
from torch_geometric.data import Batch
from torchmetrics import MaxMetric, MeanAbsoluteError, MeanSquaredError, Metric

from pyg_nnp.config import Config, config_from_dict
from pyg_nnp.data import MoleculeDataset, split_dataset
from pyg_nnp.data.readers import file_names, format_of
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import FEATURES, FIELDS, TARGETS
from pyg_nnp.loss import difference
from pyg_nnp.model import Potential
from pyg_nnp.training import large_batch

log = logging.getLogger(__name__)

_ALL, _PER_ATOM = "all", "per atom"


@dataclass(frozen=True)
class ErrorRow:
    """Errors of a field, in the units of the data.

    Attributes:
        field: standard name.
        of: ``all``; ``per atom``, for energies divided by the number of atoms; or the symbol of an element.
        count: numbers that were compared.
        mae: mean absolute error.
        rmse: root of the mean squared error.
        max: largest absolute error.
    """

    field: str
    of: str
    count: int
    mae: float
    rmse: float
    max: float


class _Errors:
    """Errors that belong together; sums are those that training makes, so that they have the same bits."""

    def __init__(self, device: torch.device) -> None:
        self.count = 0
        metrics: list[Metric] = [MeanAbsoluteError(), MeanSquaredError(squared=False), MaxMetric()]
        self.metrics = [metric.set_dtype(torch.float64).to(device) for metric in metrics]

    def update(self, error: Tensor) -> None:
        self.count += error.numel()
        mae, rmse, largest = self.metrics
        zeros = torch.zeros_like(error)
        mae.update(error, zeros)
        rmse.update(error, zeros)
        largest.update(error.abs())


def error_table(potential: Potential, batches: Iterable[Batch], fields: Sequence[str]) -> list[ErrorRow]:
    """Return the errors of a potential over all batches together, for atoms also those of each element.

    Args:
        potential: in evaluation mode.
        batches: with true values.
        fields: those to compare.
    """
    device = potential.energy_shift.device
    found: dict[tuple[str, str], _Errors] = {}
    for batch in batches:
        batch = batch.to(device)
        predicted = potential(batch)
        for name in fields:
            error = difference(predicted, batch, name).double()
            groups = {_ALL: error}
            if name == "E":
                groups[_PER_ATOM] = error / batch.N
            if FIELDS[name].level == "atom":
                groups |= {chemical_symbols[Z]: error[batch.Za == Z] for Z in torch.unique(batch.Za).tolist()}
            for of, values in groups.items():
                found.setdefault((name, of), _Errors(device)).update(values)

    def place(key: tuple[str, str]) -> tuple[int, int]:
        return fields.index(key[0]), atomic_numbers.get(key[1], 0)

    rows = []
    for key in sorted(found, key=place):
        mae, rmse, largest = (float(metric.compute()) for metric in found[key].metrics)
        rows.append(ErrorRow(*key, found[key].count, mae, rmse, largest))
    return rows


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
        frames = torch.arange(len(dataset)) if part is None else _frames_of(config, dataset, part)
        fields = [name for name in (*TARGETS, "Q") if name in dataset.fields and name in potential.outputs]
        size = large_batch(dataset, config.Trainer.batch_size)
        return error_table(potential, dataset.batches(frames, size), fields)


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
    sources = {**hub["features"], **hub["targets"], **mapping}
    targets = {name: sources[name] for name in predicted if name in mapping or sources.get(name) in names}
    if not targets:
        expected = ", ".join(f"'{sources[name]}' ({name})" for name in predicted if name in sources)
        raise DataError(
            f"{path}: there is nothing to compare with. Expected {expected}; it has: {', '.join(names)}. "
            "Give other names, such as --map E=energy."
        )
    if left_out := [name for name in predicted if name in sources and name not in targets]:
        log.warning("%s has no %s: not compared.", path, ", ".join(f"'{sources[name]}' ({name})" for name in left_out))
    transforms = {**hub["transforms"], **changes}
    # of no effect on what is compared: the potential adds its reference energies itself
    transforms |= {"atomic_energy": None, "total_energy_normalization": False}
    transforms["negative_gradient"] = transforms["negative_gradient"] and "Fa" in targets
    features = {name: sources[name] for name in FEATURES if name in hub["features"] or name in mapping}
    if "N" not in mapping and features.get("N") not in names:
        # which can be counted
        features.pop("N", None)
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


def table_of(rows: Sequence[ErrorRow]) -> Table:
    """Return the errors as a table for the terminal."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("field", "of", "count", "MAE", "RMSE", "maximum"):
        table.add_column(heading, justify="left" if heading in ("field", "of") else "right")
    for row in rows:
        name, of, count, *errors = astuple(row)
        table.add_row(name, of, str(count), *(f"{error:.6g}" for error in errors), end_section=row is rows[-1])
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
