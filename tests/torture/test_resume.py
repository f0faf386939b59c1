"""A training that is killed again and again, and one that is killed at every step of every save."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from toy import toy_config, write_config, write_toy
from toy_training import without_seconds

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.potential.checkpoint import BEST, LAST, load_potential, read_saved
from pyg_nnp.training.callbacks.base import Callback, CallbackList
from pyg_nnp.training.callbacks.files import Checkpoints, HistoryWriter
from pyg_nnp.training.records import HISTORY, Epoch
from pyg_nnp.training.resume import restore_state
from pyg_nnp.training.state import TrainingState
from pyg_nnp.training.stopping import EarlyStopping

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train.py"
STOPS = 50
# long enough for some stops
CHANGES = {"Trainer__max_epochs": 400, "Trainer__patience": None, "Trainer__warmup_ratio": 0.1}


def start(folder: Path, out: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), "train.yaml", "-o", out, "--resume"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def largest_difference(ours: Path, theirs: Path) -> float:
    """Return it over parameters, optimiser, random states; everything else must be equal."""
    (description, tensors), (expected, others) = read_saved(ours / LAST), read_saved(theirs / LAST)
    assert description == expected  # schedule, best score, epoch, random generators of python and numpy
    assert tensors.keys() == others.keys()
    assert without_seconds(ours / HISTORY) == without_seconds(theirs / HISTORY)
    assert (ours / BEST).read_bytes() == (theirs / BEST).read_bytes()
    return max(float((tensors[name].double() - others[name].double()).abs().max()) for name in tensors)


def test_stopped_at_random_moments(tmp_path: Path) -> None:
    write_toy(tmp_path)
    write_config(tmp_path, yaml.safe_dump(toy_config(**CHANGES)))
    began = time.monotonic()
    with start(tmp_path, "whole") as process:
        assert process.wait() == 0
    duration = time.monotonic() - began
    dice, stops, runs, worst, slowest = random.Random(0), {signal.SIGKILL: 0, signal.SIGTERM: 0}, 0, 0.0, 0.0
    within: list[int] = []
    while sum(stops.values()) < STOPS:
        runs += 1
        while True:
            number = dice.choice(list(stops))
            process = start(tmp_path, f"out{runs}")
            try:
                process.wait(dice.uniform(0.15, 0.5) * duration)
            except subprocess.TimeoutExpired:
                process.send_signal(number)
            sent = time.monotonic()
            _, message = process.communicate()
            if process.returncode == 0:
                break
            slowest = max(slowest, time.monotonic() - sent)
            # as a shell has it; before the first line of the program runs, SIGTERM ends python itself
            status = process.returncode if process.returncode > 0 else 128 - process.returncode
            assert status == 128 + number, message.decode()
            stops[number] += 1
            last = tmp_path / f"out{runs}/FF01-SchNet" / LAST
            if last.exists():
                load_potential(last)
                within.append(read_saved(last)[0]["training"]["step"])
        worst = max(worst, largest_difference(tmp_path / f"out{runs}/FF01-SchNet", tmp_path / "whole/FF01-SchNet"))
    inside = sum(step > 0 for step in within)
    print(
        f"\n{stops[signal.SIGKILL]} SIGKILL and {stops[signal.SIGTERM]} SIGTERM in {runs} trainings, {inside} saved "
        f"within an epoch: largest difference {worst}; from signal to end {slowest:.2f} s at most"
    )
    assert worst == 0.0


class Killed:
    """Kills the process at the n-th write, sync or rename, before it or after it; a write is cut in the middle, too."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def point(self) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            self.point()
            result = function(*args, **options)
            self.point()
            return result

        return wrapped

    def install(self) -> None:
        for name in ("fsync", "replace", "rename", "unlink"):
            setattr(os, name, self.around(getattr(os, name)))
        original = Path.open

        def opened(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
            file = original(path, mode, *args, **options)
            return self.Written(file, self.point) if mode == "wb" else file

        Path.open = opened  # type: ignore[method-assign]

    class Written:
        """A file whose writes are seen on the disk half done."""

        def __init__(self, file: Any, point: Callable[[], None]) -> None:
            self.file, self.point = file, point

        def write(self, content: bytes) -> None:
            for half in (content[: len(content) // 2], content[len(content) // 2 :]):
                self.file.write(half)
                self.file.flush()
                self.point()

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()


def a_training(dataset: pyg_nnp.data.MoleculeDataset) -> TrainingState:
    config = config_from_dict(toy_config())
    potential = pyg_nnp.build_potential(config, "FF01")
    trainer = config.Trainer.model_copy(update={"batch_size": len(dataset)})
    training = TrainingState.begin(potential, trainer, {"training": torch.arange(len(dataset))}, {"Trainer": {}})
    for parameter in potential.parameters():
        parameter.grad = torch.ones_like(parameter)
    training.optimizer.step()
    return training


def test_killed_at_every_step_of_a_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path)
    dataset = pyg_nnp.data.MoleculeDataset.from_config(config_from_dict(toy_config()), ".")
    training = a_training(dataset)

    def save(number: int) -> None:
        epoch = Epoch(number, 1.0, 0.01, 1.0, 1.0 / number)
        saving = CallbackList([Checkpoints(folder), HistoryWriter(folder)])
        training.early_stopping.update(1.0 / number, number)
        saving(Callback.on_epoch, training, epoch)
        training.end_epoch(time.perf_counter())
        saving(Callback.on_next_epoch, training, epoch)

    points, at = 0, 0
    while points == at:
        at += 1
        folder = tmp_path / f"at{at}"
        folder.mkdir()
        save(1)
        if (child := os.fork()) == 0:
            Killed(at).install()
            training.optimizer.step()
            save(2)
            os._exit(0)
        points += os.waitpid(child, 0)[1] == signal.SIGKILL
        other = a_training(dataset)
        restore_state(other, folder / LAST, "here")
        # the state before or the state after, and the best that belongs to it or to the next
        assert other.epoch in (2, 3)
        assert load_potential(folder).spec["epoch"] in (other.epoch - 1, 2)
        assert len((folder / HISTORY).read_text().splitlines()) in (other.epoch, 3)
        training.epoch, training.early_stopping = 1, EarlyStopping(None)
    print(f"\nkilled at {points} places of a save: {points} trainings left that can go on")
    assert points > 20
