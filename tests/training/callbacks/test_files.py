"""``run.json``: what the last run that trained a model says of itself."""

import json
import logging
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import toy_config
from toy_training import interrupt, train_toy

from pyg_nnp import build_potential
from pyg_nnp.config import config_from_dict
from pyg_nnp.training import step
from pyg_nnp.training.callbacks.files import RunRecorder
from pyg_nnp.training.epoch import Epoch
from pyg_nnp.training.state import TrainingState


def record(model: Path) -> Any:
    return json.loads((model / "run.json").read_text())


def test_what_it_says(folder: Path) -> None:
    before = datetime.now().replace(microsecond=0)
    # charges are predicted and not trained, which is a warning
    model = train_toy("out", Modelhub__FF01__loss={"rmse": {"E": 1, "Fa": 1, "Qa": 0}})
    found = record(model)
    (warning,) = found.pop("warnings")
    assert warning.startswith("FF01: Qa and M2 is no part of the loss")
    assert before <= datetime.fromisoformat(found.pop("started")) <= datetime.now()
    versions = found.pop("versions")
    assert (versions["torch"], versions["pyg-nnp"]) == (torch.__version__, version("pyg-nnp"))
    count = sum(p.numel() for p in build_potential(config_from_dict(toy_config()), "FF01").parameters())
    threads = torch.get_num_threads()
    assert found == {"device": "cpu", "threads": threads, "dtype": "float32", "parameters": count}


def test_resumed_it_is_of_the_last_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, step, "weighted_loss", 2)
        with pytest.raises(KeyboardInterrupt):
            train_toy("out")
    model, threads = Path("out/FF01-SchNet"), torch.get_num_threads()
    assert record(model)["warnings"] == []
    try:
        torch.set_num_threads(threads + 1)
        train_toy("out", resume=True)
    finally:
        torch.set_num_threads(threads)
    found = record(model)
    assert found["threads"] == threads + 1
    (warning,) = found["warnings"]
    assert warning.startswith("The last bits may differ from those of a run that was not stopped: threads was")


def test_it_is_written_again_when_there_are_more_warnings(tmp_path: Path) -> None:
    config, warnings = config_from_dict(toy_config()), ["first"]
    state = TrainingState.begin(build_potential(config, "FF01"), config.Trainer, {"training": torch.arange(12)})
    recorder, epoch = RunRecorder(tmp_path, warnings), Epoch(1, 1.0, 0.1)
    recorder.on_next_epoch(state, epoch)
    assert record(tmp_path)["warnings"] == ["first"]
    (tmp_path / "run.json").unlink()
    recorder.on_next_epoch(state, epoch)
    assert not (tmp_path / "run.json").exists()
    warnings.append("second")
    recorder.on_next_epoch(state, epoch)
    assert record(tmp_path)["warnings"] == ["first", "second"]


def test_no_handler_is_left(folder: Path) -> None:
    before = logging.getLogger("pyg_nnp").handlers[:]
    train_toy("out", Trainer__max_epochs=1)
    assert logging.getLogger("pyg_nnp").handlers == before
