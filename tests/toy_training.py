"""Trainings of the toy configuration, whole and interrupted."""

import csv
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


def train_toy(out: str, resume: bool = False, **changes: object) -> Path:
    config = config_from_dict(toy_config(**changes))
    train.seed_everything(config.Trainer.seed)
    train.train(config, Path(out), resume=resume)
    return Path(out) / "FF01-SchNet"


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
    names = {path.name for path in theirs.iterdir()}
    assert {path.name for path in ours.iterdir()} == names
    for name in names:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
