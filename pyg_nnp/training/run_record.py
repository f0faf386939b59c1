"""``run.json``: device, threads, versions and warnings of the run that trained a model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyg_nnp.errors import DataError

RUN = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """Facts on the last run that trained a model.

    Attributes:
        started: when its training of the model began, local time, ISO 8601.
        device: that it was trained on.
        threads: number of threads of PyTorch.
        dtype: precision of the parameters.
        parameters: number of them.
        versions: of Python and packages, by name.
        warnings: of the run up to the last epoch of the model, among them those about the data.
    """

    started: str
    device: str
    threads: int
    dtype: str
    parameters: int
    versions: Mapping[str, str]
    warnings: Sequence[str]


def read_run_record(folder: Path) -> RunRecord | None:
    """Return the record of the last run that trained a model; None if that run was of an older version.

    Raises:
        DataError: ``run.json`` is damaged.
    """
    path = folder / RUN
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return RunRecord(**{name: found[name] for name in RunRecord.__dataclass_fields__})
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: this is no record of a run, or a damaged one: {error!r}. Take it away.") from error
