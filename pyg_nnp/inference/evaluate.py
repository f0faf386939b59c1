"""Errors of a trained potential on other data."""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch_geometric.data import Batch

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import DataError
from pyg_nnp.fields import COMPARED
from pyg_nnp.inference.evaluation_data import compared_frames, configuration_for
from pyg_nnp.inference.extrapolation import (
    ShortestDistances,
    training_configuration,
    unknown_charges,
    unknown_compositions,
)
from pyg_nnp.inference.file_units import ForceScale, as_trained, converted, units_in_evaluation
from pyg_nnp.potential.predictor import Predictor, large_batch, predictions
from pyg_nnp.runtime.data_path import DataPath
from pyg_nnp.training.metrics import ALL, ErrorRow, ErrorTable

log = logging.getLogger(__name__)

# energies that are off by five times the spread of their errors, or more
_SEVERAL, _SHIFTED = 5, 0.98


def evaluate_file(
    predictor: Predictor,
    data: str | Path | Sequence[str | Path],
    mapping: Mapping[str, str],
    changes: Mapping[str, Any],
    part: str | None = None,
    units: str | None = None,
) -> list[ErrorRow]:
    """Return the errors of a potential on a data file, read as its training data were, with some changes.

    What is in other units is converted to those of the potential.

    Args:
        predictor: as training saved it, in evaluation mode.
        data: the file, or several.
        mapping: standard name -> name in the file, for those that the training data had under another name.
        changes: to ``Datahub.transforms``.
        part: only the frames that training had for this part; None: all.
        units: of the file, as :func:`pyg_nnp.inference.file_units.units_of_file` takes them.

    Raises:
        DataError: the potential does not say how it was trained, or its units where numbers are to be converted, or the
            file does not hold what it must.
        ConfigError: what is given is not valid, or there is no such part.
    """
    path = DataPath.of(data)
    config = configuration_for(predictor, path, mapping, changes, with_parts=part is not None)
    in_file = units_in_evaluation(predictor, config, path, units)
    # a store in a folder of its own, so that nothing is left behind and nothing of others is used
    with tempfile.TemporaryDirectory(prefix="pyg_nnp_") as folder:
        dataset = MoleculeDataset.from_config(config, folder)
        of_training = dataset.summary.fingerprint == predictor.domain.fingerprint
        _check_part(predictor, path, part, of_training)
        trained_on = DataPath.of(training_configuration(predictor)["Datahub"]["data_path"])
        if of_training and units is None and path.resolved() == trained_on.resolved():
            in_file = as_trained(predictor)  # whatever the file says, this is how training has read it
        frames = compared_frames(predictor, config, path, dataset, part)
        distances = ShortestDistances({} if of_training else predictor.domain.distances_in_angstrom(predictor.units))
        size = large_batch(dataset.max_atoms, config.Trainer.batch_size)
        batches = converted(path, dataset.batches(frames, size), dataset.fields, in_file, predictor.units)
        rows, forces = _errors(predictor, dataset, batches, distances)
        unknown = [unknown_charges(predictor.domain, set(dataset.summary.charges_in(frames)))]
        if part is None:
            compositions = dataset.summary.compositions_in(frames)
            unknown.append(unknown_compositions(predictor.domain, compositions))
    for warning in filter(None, unknown):
        log.warning("%s: %s", path, warning)
    distances.report(f"Errors there may be large. Are the positions of {path} in another unit? If so, say --units.")
    forces.report(path, in_file.units.or_else(predictor.units))
    if part is None:  # the energies of a part of the training have its reference
        _warn_of_shift(path, rows)
    return rows


def _check_part(predictor: Predictor, path: DataPath, part: str | None, of_training: bool) -> None:
    """Warn of errors on what was trained, and refuse a part of other data."""
    if part is None and of_training:
        log.warning("%s: these are the data of the training. Errors on what was not trained: --part test.", path)
    if part is not None and predictor.domain.fingerprint and not of_training:
        raise DataError(
            f"{path}: these are not the structures of the training, or they are in another order, so that nothing "
            f"tells which are its {part} part. Leave out --part, or give the data of the training."
        )


def _errors(
    predictor: Predictor, dataset: MoleculeDataset, batches: Iterator[Batch], distances: ShortestDistances
) -> tuple[list[ErrorRow], ForceScale]:
    """Return the errors of all fields, and how the sizes of forces compare."""
    fields = [name for name in COMPARED if name in dataset.fields and name in predictor.outputs]
    table, forces = ErrorTable(fields), ForceScale()
    length = predictor.units.likely_length

    def with_distances() -> Iterator[Batch]:
        for batch in batches:
            cells = (batch.cell * length, batch.pbc) if "cell" in batch else ()
            distances.add(batch.Ra * length, batch.Za, batch.N, *cells)
            yield batch

    for batch, predicted in predictions(predictor, with_distances()):
        table.update(predicted, batch)
        if "Fa" in fields:
            forces.add(predicted["Fa"], batch.Fa)
    return table.rows(), forces


def _warn_of_shift(path: DataPath, rows: Sequence[ErrorRow]) -> None:
    """Warn of energies that are all off by the same: their mean error is as large as the root mean square."""
    for row in rows:
        of_energies = (row.field, row.of) == ("E", ALL) and row.count >= _SEVERAL
        if of_energies and row.mae > _SHIFTED * row.rmse:
            log.warning("%s: all energies are off by about %.6g. Another unit, or another reference?", path, row.mae)
