"""What is shown and logged of the epochs."""

import re
from pathlib import Path

import pytest
import torch
from rich.console import Console
from toy import toy_config
from toy_training import run_toy

from pyg_nnp import build_potential
from pyg_nnp.config import Trainer, config_from_dict
from pyg_nnp.training.callbacks import reporting
from pyg_nnp.training.records import Epoch
from pyg_nnp.training.state import TrainingState


def test_quiet_where_output_is_no_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_toy(Path("out"))
    captured = capsys.readouterr()
    assert "epoch 1" not in captured.err
    assert "\x1b" not in captured.err + captured.out


def test_how_long_it_takes_is_without_the_first_epoch(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = iter([60.0, 62.0, 64.0, 66.0])
    monkeypatch.setattr(reporting, "perf_counter", lambda: next(ends))
    shown = reporting.EpochProgress(Console(force_terminal=False), "FF01", Trainer(max_epochs=100), Path("out"))
    config = config_from_dict(toy_config(Trainer__patience=None))
    state = TrainingState.begin(build_potential(config, "FF01"), config.Trainer, {"training": torch.arange(25)})
    with caplog.at_level("INFO", "pyg_nnp"):
        for number in range(11, 17):  # a training that goes on
            shown.on_epoch(state, Epoch(number, 1.0, 1e-3))
    assert caplog.messages == ["FF01: 2 s an epoch, 0:02:52 for the 86 epochs that remain."]


def test_how_long_it_takes_is_said_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_toy(Path("out"), Trainer__max_epochs=6)
    lines = re.findall(r"FF01: \S+ s an epoch, \d+:\d\d:\d\d for the 2 epochs that remain", capsys.readouterr().err)
    assert len(lines) == 1
