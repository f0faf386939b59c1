"""Files of a training in the folder of a model: ``history.csv``, ``metrics.json``, ``run.json``."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyg_nnp.errors import DataError
from pyg_nnp.fields import COMPARED
from pyg_nnp.training.epoch import HISTORY
from pyg_nnp.training.report.types import History
from pyg_nnp.training.run_record import RunRecord, read_run_record

METRICS = "metrics.json"


@dataclass(frozen=True)
class Records:
    """The contents of these files.

    Attributes:
        history: of its epochs.
        metrics: content of ``metrics.json``; empty if the training has not ended.
        run: of its last run; None if an older version trained it.
    """

    history: History
    metrics: dict[str, Any]
    run: RunRecord | None


def read_records(folder: Path) -> Records:
    """Read the files of a training.

    Args:
        folder: of the model.

    Raises:
        DataError: the history is missing, or something is damaged.
    """
    return Records(read_history(folder / HISTORY), read_metrics(folder), read_run_record(folder))


def read_history(path: Path) -> History:
    """Read the history of a training.

    Raises:
        DataError: there is none, or it is damaged.
    """
    try:
        with path.open(newline="") as file:
            names, *rows = list(csv.reader(file))
        # a training that an older version began has no seconds for its first epochs
        values = np.array([[value or "nan" for value in row] for row in rows], dtype=float)
        columns = dict(zip(names, values.reshape(-1, len(names)).T, strict=True))
        return History(columns.pop("epoch"), columns)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: there is no training to report on.") from error
    except (ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{path}: this is no history of a training, or a damaged one: {error}.") from error


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return the content of ``metrics.json``; empty if the training has not ended.

    Raises:
        DataError: it is damaged.
    """
    path = folder / METRICS
    try:
        metrics: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        metric_rows(metrics)
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: these are no metrics of a training, or damaged ones: {error}.") from error
    return metrics


def metric_rows(metrics: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, float | None]]:
    """Return (field, kind of error) -> part -> value, from the content of ``metrics.json``."""
    rows: dict[tuple[str, str], dict[str, float | None]] = {}
    for part, of_part in metrics.items():
        if part != "best_epoch":
            for kind, of_kind in of_part.items():
                for name, value in of_kind.items() if kind != "score" else ():
                    rows.setdefault((name, kind), {})[part] = value
    return dict(sorted(rows.items(), key=lambda row: (COMPARED.index(row[0][0]), row[0][1])))
