"""What a run has written down of its course: the history of epochs; times, warnings and versions in its logs."""

import csv
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from pyg_nnp.errors import DataError
from pyg_nnp.fields import COMPARED
from pyg_nnp.training.report.collect import Array

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})  (\w+)\s+(.*)")
_BEGIN = re.compile(r"(\S+): \S+ with \d+ parameters, \w+, on (.*)\.$")
_EPOCH = re.compile(r"epoch (\d+)  learning_rate ")


@dataclass(frozen=True)
class History:
    """The columns of ``history.csv``.

    Attributes:
        epochs: (n,) their numbers.
        columns: name -> (n,) values.
    """

    epochs: Array
    columns: dict[str, Array]

    def fields(self) -> list[str]:
        """Return the fields whose errors it has, in the order of the table of fields."""
        found = {name.partition("_")[2] for name in self.columns if name.partition("_")[0] in ("rmse", "mae", "mse")}
        return [name for name in COMPARED if name in found]


def read_history(path: Path) -> History:
    """Read the history of a training.

    Raises:
        DataError: there is none, or it is damaged.
    """
    try:
        with path.open(newline="") as file:
            names, *rows = list(csv.reader(file))
        columns = dict(zip(names, np.array(rows, dtype=float).reshape(-1, len(names)).T, strict=True))
        return History(columns.pop("epoch"), columns)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: there is no training to report on.") from error
    except (ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{path}: this is no history of a training, or a damaged one: {error}.") from error


@dataclass(frozen=True)
class Course:
    """What the logs say of the training of a model.

    Attributes:
        epoch: median of the seconds that an epoch took; None where no log has two.
        total: seconds from the beginning of training to the end of the last epoch, without breaks between runs.
        versions: of Python and packages, in the last run that trained it.
        device: that it was trained on, likewise.
        warnings: of that run; None where there is no log of it.
    """

    epoch: float | None = None
    total: float | None = None
    versions: str | None = None
    device: str | None = None
    warnings: tuple[str, ...] | None = None


def read_course(logs: Path, name: str) -> Course:
    """Find the training of a model in the logs of an output folder.

    Args:
        logs: their folder.
        name: of the model.
    """
    seconds: dict[int, float] = {}
    known: dict[str, Any] = {}
    for path in sorted(logs.glob("*.log")):
        found, about = _read_log(path, name)
        if found:
            known = about
        # a training that began anew is another one
        seconds = found if 1 in found else seconds | found
    if not seconds:
        return Course()
    return Course(median(seconds.values()), sum(seconds.values()), **known)


def _read_log(path: Path, name: str) -> tuple[dict[int, float], dict[str, Any]]:
    """Return the seconds of each epoch, the first with all that comes before, and what else a :class:`Course` has."""
    seconds: dict[int, float] = {}
    about: dict[str, Any] = {"warnings": ()}
    before, inside = datetime.min, False
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if not (match := _LINE.match(line)):
                continue
            now, level, text = datetime.fromisoformat(match[1]), match[2], match[3]
            if level == "WARNING":
                about["warnings"] += (text,)
            elif text.startswith("Versions: "):
                about["versions"] = text.removeprefix("Versions: ")
            elif begin := _BEGIN.match(text):
                before, inside = now, begin[1] == name
                if inside:
                    about["device"] = begin[2]
            elif inside and (epoch := _EPOCH.match(text)):
                seconds[int(epoch[1])] = max(0.0, (now - before).total_seconds())
                before = now
    return seconds, about
