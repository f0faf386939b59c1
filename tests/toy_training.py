"""Trainings of the toy configuration, whole and interrupted."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from toy import toy_config

from pyg_nnp.commands import train
from pyg_nnp.config import config_from_dict


def run_toy(out: Path, **changes: object) -> Path:
    config = config_from_dict(toy_config(**changes))
    train.train(config, out)
    return out / config.folder_name("FF01")


def history(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def train_toy(out: str, document: dict[str, Any] | None = None, resume: bool = False, **changes: object) -> Path:
    config = config_from_dict(document or toy_config(**changes))
    train.seed_everything(config.Trainer.seed)
    train.train(config, Path(out), resume=resume)
    return Path(out) / config.folder_name("FF01")


def interrupt(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, at: int) -> None:
    """Let the ``at``-th call of a function, counted from 1, be interrupted."""
    original, calls = getattr(owner, name), 0

    def interrupted(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(owner, name, interrupted)


def same(ours: Path, theirs: Path) -> None:
    expected = contents(theirs)
    found = contents(ours)
    assert found.keys() == expected.keys()
    for name, content in expected.items():
        assert found[name] == content, name


def contents(model: Path) -> dict[str, object]:
    """Return what is in the files of a model's folder, without what says when and how fast it was trained."""
    found: dict[str, object] = {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}
    found["history.csv"] = without_seconds(model / "history.csv")
    run = json.loads((model / "run.json").read_text())
    # a resumed run warns, for instance, of another number of threads
    found["run.json"] = {key: value for key, value in run.items() if key not in ("started", "warnings")}
    return found


def without_seconds(path: Path) -> list[list[str]]:
    """Return the rows of a history without their last column."""
    with path.open(newline="") as file:
        names, *rows = csv.reader(file)
    assert names[-1] == "seconds"
    assert all(float(row[-1]) > 0 for row in rows)
    return [row[:-1] for row in (names, *rows)]
