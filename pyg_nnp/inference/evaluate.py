"""Errors of a trained potential on other data."""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset, split_dataset
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import COMPARED
from pyg_nnp.inference.data_config import configuration_for
from pyg_nnp.inference.extrapolation import ShortestDistances, unknown_compositions
from pyg_nnp.potential.predictor import Predictor, large_batch, predictions
from pyg_nnp.training.metrics import ALL, ErrorRow, ErrorTable

log = logging.getLogger(__name__)

# energies that are off by five times the spread of their errors, or more
_SEVERAL, _SHIFTED = 5, 0.98


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
        unknown = unknown_compositions(predictor.domain, dataset.summary.compositions) if part is None else ""
    if unknown:
        log.warning("%s: %s", path, unknown)
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
