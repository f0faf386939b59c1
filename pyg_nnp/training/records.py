"""Files of a training in the folder of a model: ``history.csv``, ``metrics.json``, ``run.json``."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_nnp.config import Weights
from pyg_nnp.errors import DataError
from pyg_nnp.fields import COMPARED
from pyg_nnp.runtime.files import write_durably, write_json
from pyg_nnp.training.metrics import COUNT, Errors, weighted_sum

HISTORY, METRICS, RUN = "history.csv", "metrics.json", "run.json"
TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch."""

    number: int  # counted from 1
    loss: float  # mean training loss over the frames of the epoch
    learning_rate: float  # of its last step
    validation_loss: float | None = None  # the loss over the whole validation part, if there is one
    score: float | None = None  # the weighted sum of the metrics on it
    errors: Errors = field(default_factory=dict)  # those metrics
    seconds: float | None = None  # wall time since the end of the epoch before, without breaks between runs [s]

    def validated(self, errors: Errors, loss: float, metrics: Weights) -> "Epoch":
        """Return the epoch with its errors and its loss on the validation part."""
        return replace(self, errors=errors, validation_loss=loss, score=weighted_sum(errors, metrics))

    def row(self) -> dict[str, float]:
        """Return the line of the epoch in ``history.csv``: column -> value."""
        known = {"validation_loss": self.validation_loss, "score": self.score}
        row = {"epoch": self.number, "learning_rate": self.learning_rate, "training_loss": self.loss}
        row |= {name: value for name, value in known.items() if value is not None}
        row |= {f"{kind}_{name}": value for kind, of_kind in self.errors.items() for name, value in of_kind.items()}
        # the last column, so that lines of older versions, which lack it, are only too short
        return row if self.seconds is None else row | {"seconds": self.seconds}


@dataclass(frozen=True)
class History:
    """The columns of ``history.csv``."""

    epochs: NDArray[Any]  # (n,) their numbers
    columns: dict[str, NDArray[Any]]  # name -> (n,) values

    def fields(self) -> list[str]:
        """Return the fields whose errors it has, in the order of the table of fields."""
        found = {name.partition("_")[2] for name in self.columns if name.partition("_")[0] in ("rmse", "mae", "mse")}
        return [name for name in COMPARED if name in found]

    @property
    def total_seconds(self) -> float | None:
        """Wall time of the training [s], if it is known of all epochs."""
        seconds = self.columns.get("seconds")
        return None if seconds is None or np.isnan(seconds).any() else float(seconds.sum())

    @property
    def median_seconds(self) -> float | None:
        """Median of the wall time of an epoch [s], if it is known of one."""
        seconds = self.columns.get("seconds", np.empty(0))
        known = seconds[~np.isnan(seconds)]
        return float(np.median(known)) if len(known) else None


@dataclass(frozen=True)
class RunRecord:
    """The last run that trained a model."""

    started: str  # when its training of the model began, local time, ISO 8601
    device: str  # that it was trained on
    threads: int  # number of threads of PyTorch
    dtype: str  # precision of the parameters
    parameters: int  # number of them
    versions: Mapping[str, str]  # of Python and packages, by name
    warnings: Sequence[str]  # of the run up to the last epoch of the model, among them those about the data


@dataclass(frozen=True)
class Records:
    """The contents of these files."""

    history: History  # of its epochs
    metrics: dict[str, Any]  # empty if the training has not ended
    run: RunRecord | None  # None if an older version trained it


def read_records(folder: Path) -> Records:
    """Read the files of a training.

    Raises:
        DataError: the history is missing, or something is damaged.
    """
    return Records(read_history(folder / HISTORY), _read_metrics(folder / METRICS), _read_run(folder / RUN))


def write_history(path: Path, row: Mapping[str, float]) -> None:
    """Add the line of an epoch to a CSV file; lines of it and of later epochs, which a kill may have left, go.

    Lines with fewer columns, from older versions, are filled up with empty ones at their end.
    """
    # line by line, so that memory does not grow with the number of epochs
    before = (line + "," * (len(row) - 1 - line.count(",")) for line in epochs_before(path, row["epoch"]))
    lines = chain([",".join(row)], before, [",".join(map(repr, row.values()))])
    write_durably(path, (f"{line}\n".encode() for line in lines))


def write_metrics(folder: Path, best_epoch: int, metrics: Mapping[str, Any]) -> None:
    """Write the metrics of the best potential."""
    write_json(folder / METRICS, {"best_epoch": best_epoch, **metrics})


def epochs_before(path: Path, epoch: float) -> Iterator[str]:
    """Yield the lines of the epochs before one; none if there is no file."""
    if path.exists():
        with path.open() as file:
            next(file, None)
            yield from (line.rstrip("\n") for line in file if int(line.partition(",")[0]) < epoch)


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


def _read_metrics(path: Path) -> dict[str, Any]:
    try:
        metrics: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        metric_rows(metrics)
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: these are no metrics of a training, or damaged ones: {error}.") from error
    return metrics


def _read_run(path: Path) -> RunRecord | None:
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return RunRecord(**{name: found[name] for name in RunRecord.__dataclass_fields__})
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: this is no record of a run, or a damaged one: {error!r}. Take it away.") from error


def metric_rows(metrics: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, float | None]]:
    """Return (field, kind of error) -> part -> value, from the content of ``metrics.json``."""
    rows: dict[tuple[str, str], dict[str, float | None]] = {}
    for part, of_part in metrics.items():
        if part != "best_epoch":
            for kind, of_kind in of_part.items():
                for name, value in of_kind.items() if kind not in ("score", COUNT) else ():
                    rows.setdefault((name, kind), {})[part] = value
    return dict(sorted(rows.items(), key=lambda row: (COMPARED.index(row[0][0]), row[0][1])))
