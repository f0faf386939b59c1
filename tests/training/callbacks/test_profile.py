"""--profile: where the time of an epoch goes."""

import itertools
import logging
import re
from pathlib import Path

import pytest
import torch
from toy import toy_config, write_config
from toy_training import without_seconds

from pyg_nnp import build_potential
from pyg_nnp.commands import cli
from pyg_nnp.config import config_from_dict
from pyg_nnp.training.callbacks import profile
from pyg_nnp.training.callbacks.profile import PARTS, Profile
from pyg_nnp.training.records import Epoch
from pyg_nnp.training.state import TrainingState

STEPS = 3  # of an epoch of the toy


def train(folder: Path, out: str, *options: str, code: int = 0, **changes: object) -> str:
    """Train and return the log."""
    path = write_config(folder, toy_config(**changes))
    assert cli.main(["train", str(path), "-o", out, *options]) == code
    (log,) = (folder / out / "logs").iterdir()
    return log.read_text()


def table(log: str) -> dict[str, list[tuple[float, float]]]:
    """Return part -> (seconds, percent) of each column."""
    rows = re.findall(rf"^({'|'.join(PARTS)}|epoch) +(\d.*%)$", log, re.MULTILINE)
    cells = {part: re.findall(r"([\d.]+) s +([\d.]+) %", row) for part, row in rows}
    return {part: [(float(seconds), float(share)) for seconds, share in row] for part, row in cells.items()}


def test_the_parts_are_the_epoch(folder: Path) -> None:
    log = train(folder, "out", "--profile")
    assert "mean of 2 later" in log
    parts = table(log)
    assert list(parts) == [*PARTS, "epoch"]
    epoch = parts.pop("epoch")
    assert len(epoch) == 2
    for column, (seconds, share) in enumerate(epoch):
        assert share == 100
        assert all(row[column][0] > 0 for row in parts.values())
        assert sum(row[column][0] for row in parts.values()) == pytest.approx(seconds, abs=1e-4 * len(PARTS))
        assert sum(row[column][1] for row in parts.values()) == pytest.approx(100, abs=0.1 * len(PARTS))


def test_what_is_counted_as_what(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that goes on by a second whenever it is looked at."""
    clock = itertools.count()
    monkeypatch.setattr(profile, "perf_counter", lambda: float(next(clock)))
    parts = table(train(folder, "out", "--profile", Trainer__patience=None))
    # before and after the forces; after the loss and the step; the end of the epoch
    expected = dict.fromkeys(PARTS, STEPS) | {"forward": 2 * STEPS, "validation": 1, "rest": 2 * STEPS + 1}
    for part, seconds in expected.items():
        first, later = (column[0] for column in parts[part])
        assert later == seconds, part
        assert first == seconds + (part == "rest"), part  # the optimiser is made in it
    assert next(clock) == 1 + parts["epoch"][0][0] + 2 * parts["epoch"][1][0]


def test_results_are_the_same_bits(folder: Path) -> None:
    assert not table(train(folder, "without"))
    assert table(train(folder, "with", "--profile"))
    for state in ("best", "last"):
        ours, theirs = (
            (folder / out / "FF01-SchNet" / f"{state}.safetensors").read_bytes() for out in ("with", "without")
        )
        assert ours == theirs
    ours, theirs = (without_seconds(folder / out / "FF01-SchNet" / "history.csv") for out in ("with", "without"))
    assert ours == theirs


def test_one_table_for_each_model_and_one_epoch_has_no_mean(folder: Path) -> None:
    models = toy_config()["Modelhub"]
    models["FF02"] = {**models["FF01"], "suffix": "second"}
    log = train(folder, "out", "--profile", Modelhub=models, Trainer__max_epochs=1)
    for name in ("FF01", "FF02"):
        assert log.count(f"{name}: time of an epoch") == 1
    assert {len(row) for row in table(log).values()} == {1}


def test_a_training_that_is_interrupted_has_a_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_next_epoch = Profile.on_next_epoch

    def interrupted(self: Profile, state: TrainingState, epoch: Epoch) -> None:
        on_next_epoch(self, state, epoch)
        if len(self.epochs) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Profile, "on_next_epoch", interrupted)
    log = train(folder, "out", "--profile", code=130)
    assert "mean of 1 later" in log
    assert log.index("time of an epoch") < log.index("Stopped: interrupted.")


def a_state() -> TrainingState:
    config = config_from_dict(toy_config())
    return TrainingState.begin(build_potential(config, "FF01"), config.Trainer, {"training": torch.arange(12)})


def test_a_gpu_is_waited_for_before_the_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    state = a_state()
    timed = Profile(state.potential, "FF01")
    calls: list[str] = []
    monkeypatch.setattr(timed, "_device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append("synchronize"))
    monkeypatch.setattr(profile, "perf_counter", lambda: calls.append("clock") or 0.0)
    timed.on_lap("data")
    timed.on_next_epoch(state, Epoch(1, 1.0, 0.1))
    assert calls == ["synchronize", "clock"] * 2


def test_no_epoch_no_table(caplog: pytest.LogCaptureFixture) -> None:
    state = a_state()
    timed = Profile(state.potential, "FF01")
    with caplog.at_level(logging.INFO):
        timed.on_begin(state)
        timed.on_end(state)
    assert not caplog.records
