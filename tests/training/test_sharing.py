"""The same result whatever the number of processes."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from several_processes import ROOT, TRAIN, Started, run_together
from shared_trainings import CASES, train_all, write_data
from toy import toy_config, write_config, write_toy
from toy_training import history, without_seconds

from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.potential.build import build_potential
from pyg_nnp.runtime import processes
from pyg_nnp.training import sharing

MODEL = "FF01-SchNet"


def difference(ours: Path, theirs: Path) -> float:
    """Return the largest difference of a number: parameters, optimiser, averages."""
    a, b = (load_file(folder / MODEL / "last.safetensors") for folder in (ours, theirs))
    assert a.keys() == b.keys()
    names = [name for name in a if name not in ("training.random", "training.order")]
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in names)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the trainings of one process and of two, and with those of four."""
    folder = tmp_path_factory.mktemp("shared")
    write_data(folder)
    train_all(folder, "1")
    for number in (2, 4):
        run_together(folder, number, str(ROOT / "tests" / "shared_trainings.py"), str(number))
    return folder


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("number", ["2", "4"])
def test_the_steps_of_one_process(trained: Path, name: str, number: str) -> None:
    ours, theirs = trained / name / number, trained / name / "1"
    assert difference(ours, theirs) < 1e-10
    for row, expected in zip(history(ours / MODEL), history(theirs / MODEL), strict=True):
        row.pop("seconds"), expected.pop("seconds")
        assert row == pytest.approx(expected, rel=1e-10)
    a, b = (json.loads((folder / MODEL / "metrics.json").read_text()) for folder in (ours, theirs))
    assert a["test"]["rmse"] == pytest.approx(b["test"]["rmse"], rel=1e-10)
    assert a["test"]["count"] == b["test"]["count"]
    # one log, one store
    assert len(list((ours / "logs").iterdir())) == len(list(ours.glob("processed_dataset_*"))) == 1


@pytest.mark.parametrize("what", ["SIGTERM", "SIGKILL"])
def test_a_stopped_training_goes_on_with_any_number_of_processes(tmp_path: Path, what: str) -> None:
    write_toy(tmp_path, 24, ("H2O", "CH3OH"))
    write_config(tmp_path, json.dumps(toy_config(Trainer__dtype="float64")))
    program = str(ROOT / "tests" / "stopped_training.py")
    number = "1" if what == "SIGKILL" else "0"
    stopped = Started(tmp_path, 2, [program, number, what, "6", "train.yaml", "-o", "out"])
    statuses, _, messages = stopped.results()
    assert statuses == ([2, -9] if what == "SIGKILL" else [143, 143])
    text = "process 1 of 2 was lost" if what == "SIGKILL" else "Stopped. To go on, add --resume to the same command."
    assert text in messages[0]
    assert not messages[1]
    assert "Stopped in epoch 2 after 2 of 3 steps" in messages[0]
    run_together(tmp_path, 2, *TRAIN, "-o", "whole")
    if what == "SIGKILL":
        run_together(tmp_path, 2, *TRAIN, "-o", "out", "--resume")
        assert difference(tmp_path / "out", tmp_path / "whole") == 0.0
        assert without_seconds(tmp_path / "out" / MODEL / "history.csv") == without_seconds(
            tmp_path / "whole" / MODEL / "history.csv"
        )
        return
    for processes_then in (1, 3, 4):
        out = f"out_{processes_then}"
        shutil.copytree(tmp_path / "out", tmp_path / out)
        run_together(tmp_path, processes_then, *TRAIN, "-o", out, "--resume")
        assert difference(tmp_path / out, tmp_path / "whole") < 1e-10


def test_one_message_where_the_disk_is_full(tmp_path: Path) -> None:
    write_toy(tmp_path, 24, ("H2O", "CH3OH"))
    write_config(tmp_path)
    program = str(ROOT / "tests" / "stopped_training.py")
    started = Started(tmp_path, 3, [program, "0", "disk", "4", "train.yaml", "-o", "out"])
    statuses, _, messages = started.results()
    assert statuses == [2, 2, 2]
    assert "Traceback" not in "".join(messages)
    assert sum("last.safetensors: File too large" in message for message in messages) == 1
    # what was written before is there to go on from
    run_together(tmp_path, 3, *TRAIN, "-o", "out", "--resume")
    run_together(tmp_path, 3, *TRAIN, "-o", "whole")
    assert difference(tmp_path / "out", tmp_path / "whole") == 0.0


def test_one_message_where_the_loss_is_not_finite_or_memory_is_used_up(tmp_path: Path) -> None:
    write_toy(tmp_path, 24, ("H2O", "CH3OH"))
    write_config(tmp_path, json.dumps(toy_config(Trainer__learning_rate=1e30)))
    statuses, _, messages = Started(tmp_path, 2, [*TRAIN, "-o", "nan"]).results()
    assert statuses == [2, 2]
    assert sum("TrainingError: epoch 1, step 2: the loss is" in message for message in messages) == 1
    assert "Traceback" not in "".join(messages)
    # the frames of the batch, not those of a process
    (message,) = (message for message in messages if "TrainingError" in message)
    assert message.partition("Its frames are ")[2].partition(".")[0].count(",") == 4
    write_config(tmp_path)
    program = str(ROOT / "tests" / "stopped_training.py")
    statuses, _, messages = Started(tmp_path, 2, [program, "1", "memory", "5", "train.yaml", "-o", "memory"]).results()
    assert statuses == [2, 2]
    assert "MemoryError: out of memory." in messages[1]
    assert "Error" not in messages[0]
    assert "Stopped in epoch 2 after 1 of 3 steps" in messages[0]


@pytest.mark.parametrize("late", [0, 1])
def test_one_message_where_a_process_fails_later(tmp_path: Path, late: int) -> None:
    """By more than the first one takes to end, which serves what all of them ask who says why."""
    write_toy(tmp_path, 24, ("H2O", "CH3OH"))
    write_config(tmp_path, json.dumps(toy_config(Trainer__learning_rate=1e30)))
    program = str(ROOT / "tests" / "stopped_training.py")
    started = Started(tmp_path, 2, [program, str(late), "late", "2", "train.yaml", "-o", "nan"])
    started.wait_until_stopped(late)
    time.sleep(4.0)
    started.kill(signal.SIGCONT, late)
    statuses, _, messages = started.results()
    assert statuses == [2, 2]
    errors = [line for message in messages for line in message.splitlines() if "Error" in line]
    assert len(errors) == 1, messages
    assert errors[0].startswith("TrainingError: epoch 1, step 2: the loss is")


def test_shares_are_even(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, 41, ("H2O", "CH3OH", "C2H6"))
    config = config_from_dict(toy_config())
    dataset, potential = MoleculeDataset.from_config(config), build_potential(config, "FF01")
    parts = torch.randperm(41, generator=torch.Generator().manual_seed(0)).split(20)
    shares, evaluated = [], []
    monkeypatch.setattr(processes, "count", lambda: 3)
    for number in range(3):
        monkeypatch.setattr(processes, "number", lambda number=number: number)
        shares.append(sharing.shares_of_batches(dataset, potential, parts))
        evaluated.append(sharing.share_of_part(dataset, potential, parts[0]))
    N = torch.from_numpy(dataset.summary.sizes)
    costs = N * (N - 1 + 10)
    for part, *of_processes in zip(parts[:2], *shares, strict=False):
        assert torch.cat([share.frames for share in of_processes]).sort().values.equal(part.sort().values)
        loads = [int(costs[share.frames].sum()) for share in of_processes]
        assert max(loads) - min(loads) <= int(costs.max())
    # the last batch has one frame
    assert [share.is_spare for share in (of[2] for of in shares)] == [False, True, True]
    assert torch.cat(evaluated).sort().values.equal(parts[0].sort().values)
    assert {len(frames) for frames in evaluated} == {6, 7}


def test_frames_are_dealt_out_by_their_costs() -> None:
    # one large frame against nine small ones
    costs = torch.tensor([1.0] * 9 + [9.0])
    assert [share.tolist() for share in sharing.dealt(costs, 2)] == [[9], list(range(9))]
