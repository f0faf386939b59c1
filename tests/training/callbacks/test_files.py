"""``run.json``, and epochs in TensorBoard's files, read back by TensorBoard."""

import csv
import importlib.util
import json
import logging
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import toy_config, write_config
from toy_training import interrupt, train_toy

from pyg_nnp import build_potential
from pyg_nnp.commands import cli
from pyg_nnp.config import config_from_dict
from pyg_nnp.training import step
from pyg_nnp.training.callbacks.files import RunRecorder, TensorBoard
from pyg_nnp.training.records import Epoch
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


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = events.EventAccumulator(str(folder))
    found.Reload()
    return {name: {event.step: event.value for event in found.Scalars(name)} for name in found.Tags()["scalars"]}


def history(path: Path) -> dict[str, dict[int, float]]:
    with path.open() as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    return {name: {int(row["epoch"]): float(row[name]) for row in rows} for name in rows[0] if name != "epoch"}


def test_scalars_are_those_of_the_history(folder: Path) -> None:
    write_config(folder, toy_config(Trainer__tensorboard=True))
    assert cli.main(["train", "train.yaml"]) == 0
    logged, written = scalars(folder / "tensorboard/FF01-SchNet"), history(folder / "FF01-SchNet/history.csv")
    assert logged.keys() == written.keys()
    for name, values in written.items():
        assert logged[name] == pytest.approx(values, rel=1e-6), name


def test_epochs_that_come_again_after_a_kill_take_the_place_of_the_first(tmp_path: Path) -> None:
    config = config_from_dict(toy_config())
    state = TrainingState.begin(build_potential(config, "FF01"), config.Trainer, {"training": torch.arange(12)})
    for numbers, loss in (((1, 2, 3), 1.0), ((3, 4), 2.0)):
        board = TensorBoard(tmp_path)
        for number in numbers:
            board.on_epoch(state, Epoch(number, loss, 0.1))
        board.on_end(state)
    assert scalars(tmp_path)["training_loss"] == {1: 1.0, 2: 1.0, 3: 2.0, 4: 2.0}


def test_a_training_may_go_on_with_and_without(folder: Path) -> None:
    """It changes nothing of the result, so it is not among what resuming compares."""
    write_config(folder)
    assert cli.main(["train", "train.yaml"]) == 0
    assert not (folder / "tensorboard").exists()
    write_config(folder, toy_config(Trainer__tensorboard=True, Trainer__report=False))
    assert cli.main(["train", "train.yaml", "--resume"]) == 0


def test_missing_package(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "pyg_nnp.training.run_setup.find_spec", lambda name: None if name == "tensorboard" else real(name)
    )
    write_config(folder, toy_config(Trainer__tensorboard=True))
    assert cli.main(["train", "train.yaml"]) == 2
    assert r"Trainer.tensorboard: the package tensorboard is not installed" in capsys.readouterr().err
    assert not (folder / "FF01-SchNet").exists()


def test_training_goes_on_where_nothing_can_be_logged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "tensorboard").write_text("a file where the folder has to be")
    write_config(folder, toy_config(Trainer__tensorboard=True))
    assert cli.main(["train", "train.yaml"]) == 0
    assert capsys.readouterr().err.count("cannot be written to any more") == 1
    assert (folder / "FF01-SchNet/metrics.json").exists()
