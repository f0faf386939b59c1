"""A training that was stopped and goes on ends with the same bits as one that never was."""

import itertools
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from gaps import NAMES, write_with_gaps
from programs import Program
from toy import toy_config, write_config, write_toy
from toy_training import contents, history, interrupt, same, train_toy

import pyg_nnp
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.layers.cores import CORES
from pyg_nnp.potential.checkpoint import BEST, LAST, read_saved, sealed
from pyg_nnp.runtime.signals import Stopped, stoppable
from pyg_nnp.training import evaluation, fit, records, results
from pyg_nnp.training.callbacks import files
from pyg_nnp.training.records import HISTORY
from pyg_nnp.training.state import TrainingState

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train.py"
STEPS = 3  # of an epoch of 12 frames in batches of 5

PLACES: dict[str, tuple[Any, str, int]] = {
    "first step": (fit, "train_epoch", 1),
    "forward of a step": (pyg_nnp.training.step, "weighted_loss", 5),
    "forward of the first step of an epoch": (pyg_nnp.training.step, "weighted_loss", 4),
    "forces": (pyg_nnp.layers.cores.schnet, "aggregate", 3),
    "validation": (evaluation, "add_errors", 2),
    "end of an epoch": (records.Epoch, "validated", 2),
    "after the best was saved": (files, "write_history", 2),
    "last step of all": (pyg_nnp.training.step, "weighted_loss", 3 * STEPS),
    "after all": (results, "final_metrics", 1),
}


@pytest.mark.parametrize("place", PLACES)
def test_resumed_is_the_same_bits(folder: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    expected = train_toy("whole")
    with monkeypatch.context() as patch:
        interrupt(patch, *PLACES[place])
        with pytest.raises(KeyboardInterrupt):
            train_toy("stopped")
    assert not (folder / "stopped/FF01-SchNet/metrics.json").exists()
    same(train_toy("stopped", resume=True), expected)


def test_weights_that_change_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"Modelhub__FF01__loss": {"rmse": {"E": {"from": 0, "to": 1}, "Fa": 1}, "huber_0.1": {"Qa": 1}}}
    expected = train_toy("whole", **changes)
    with monkeypatch.context() as patch:
        interrupt(patch, *PLACES["forward of a step"])
        with pytest.raises(KeyboardInterrupt):
            train_toy("stopped", **changes)
    same(train_toy("stopped", resume=True, **changes), expected)
    constant = {"rmse": {"E": 0.5, "Fa": 1}, "huber_0.1": {"Qa": 1}}
    other = history(train_toy("other", Modelhub__FF01__loss=constant))
    assert other[-1]["training_loss"] != history(expected)[-1]["training_loss"]


@pytest.mark.parametrize("place", ["forward of a step", "validation", "end of an epoch"])
def test_resumed_with_gaps_in_the_labels_is_the_same_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    write_with_gaps(folder, frames=24, names=("H2O", "CH3OH"))
    gaps = {"Datahub__allow_missing": list(NAMES)}
    expected = train_toy("whole", **gaps)
    with monkeypatch.context() as patch:
        interrupt(patch, *PLACES[place])
        with pytest.raises(KeyboardInterrupt):
            train_toy("stopped", **gaps)
    same(train_toy("stopped", resume=True, **gaps), expected)


@pytest.mark.parametrize("architecture", CORES)
def test_interrupted_within_the_backward_pass(folder: Path, monkeypatch: pytest.MonkeyPatch, architecture: str) -> None:
    """An exception goes through PyTorch's engine."""
    core = {"Modelhub__FF01__architecture": architecture}
    expected = train_toy("whole", **core)
    with monkeypatch.context() as patch:
        interrupt(patch, torch.Tensor, "backward", 5)
        with pytest.raises(KeyboardInterrupt):
            train_toy("stopped", **core)
    last, _ = read_saved(folder / f"stopped/FF01-{architecture}/last.safetensors")
    assert (last["training"]["epoch"], last["training"]["step"]) == (2, 1)
    same(train_toy("stopped", resume=True, **core), expected)


def test_stopped_again_and_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train_toy("whole", Trainer__dtype="float64")
    for _ in range(3 * STEPS - 1):
        with monkeypatch.context() as patch:
            interrupt(patch, pyg_nnp.training.step, "weighted_loss", 2)
            with pytest.raises(KeyboardInterrupt):
                train_toy("stopped", resume=True, Trainer__dtype="float64")
    train_toy("stopped", resume=True, Trainer__dtype="float64")
    same(folder / "stopped/FF01-SchNet", expected)


@pytest.mark.parametrize(
    ("owner", "name", "at"),
    [(torch.optim.Adam, "step", 5), (files, "save_potential", 1), (files, "write_history", 2)],
)
def test_a_signal_waits_for_the_step_and_for_the_save(
    folder: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, at: int
) -> None:
    """It comes when some of a step, or of a save, was done and some was not."""
    expected = train_toy("whole")
    with monkeypatch.context() as patch:
        original, calls = getattr(owner, name), itertools.count(1)

        def signalled(*args: Any, **options: Any) -> Any:
            result = original(*args, **options)
            if next(calls) == at:
                signal.raise_signal(signal.SIGTERM)
            return result

        patch.setattr(owner, name, signalled)
        with stoppable(), pytest.raises(Stopped):
            train_toy("stopped")
    same(train_toy("stopped", resume=True), expected)


def test_early_stopping_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of the first run counts in the second."""
    changes = {"Trainer__patience": 2, "Trainer__max_epochs": 9, "Trainer__learning_rate": 1e-12}
    monkeypatch.setattr(records, "weighted_sum", lambda errors, weights: 1.0)
    expected = train_toy("whole", **changes)
    with monkeypatch.context() as patch:
        interrupt(patch, evaluation, "add_errors", 3)
        with pytest.raises(KeyboardInterrupt):
            train_toy("stopped", **changes)
    same(train_toy("stopped", resume=True, **changes), expected)
    assert read_saved(expected / "last.safetensors")[0]["epoch"] == 3


def test_random_numbers_of_layers_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer of the user's own may draw from the global generators."""
    (folder / "noisy.py").write_text(
        "import random, numpy, torch\n"
        "from pyg_nnp.layers import Layer\n"
        "class Noise(Layer):\n"
        "    reads = ('x',)\n    writes = ('x',)\n"
        "    def forward(self, x):\n"
        "        if self.training:\n"
        "            x = x + torch.rand_like(x) * random.random() * numpy.random.rand()\n"
        "        return {'x': x}\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    layers = toy_config()["Modelhub"]["FF01"]["layers"]
    layers.insert(3, {"name": "noisy:Noise"})
    state = torch.get_rng_state()
    expected = train_toy("whole", Modelhub__FF01__layers=layers)
    with monkeypatch.context() as patch:
        interrupt(patch, pyg_nnp.training.step, "weighted_loss", 6)
        with pytest.raises(KeyboardInterrupt):
            train_toy("stopped", Modelhub__FF01__layers=layers)
    same(train_toy("stopped", resume=True, Modelhub__FF01__layers=layers), expected)
    torch.set_rng_state(state)


def test_a_run_that_is_over_is_left_alone(folder: Path) -> None:
    model = train_toy("out")
    before = {path: path.read_bytes() for path in model.iterdir()}
    assert train_toy("out", resume=True) == model
    assert {path: path.read_bytes() for path in model.iterdir()} == before


def test_nothing_to_go_on_from_is_a_new_training(folder: Path) -> None:
    same(train_toy("new", resume=True), train_toy("whole"))
    (log,) = (folder / "new/logs").iterdir()
    assert "nothing in new/FF01-SchNet to go on from: a new training" in log.read_text()


def test_resume_in_the_configuration_and_what_it_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, pyg_nnp.training.step, "weighted_loss", 5)
        with pytest.raises(KeyboardInterrupt):
            train_toy("out")
    train_toy("out", Trainer__resume=True)
    log = max((folder / "out/logs").iterdir(), key=lambda path: path.stat().st_mtime_ns).read_text()
    assert "Going on in epoch 2 after 1 steps: restored parameters, optimiser, learning rate, random generators" in log
    train_toy("out", Trainer__resume=True)
    log = max((folder / "out/logs").iterdir(), key=lambda path: path.stat().st_mtime_ns).read_text()
    assert "epochs are done. For more, start a new training with pretrained: out/FF01-SchNet." in log


def stop(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, pyg_nnp.training.step, "weighted_loss", 5)
        with pytest.raises(KeyboardInterrupt):
            train_toy("out")


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"Trainer__learning_rate": 0.02}, "Trainer.learning_rate was 0.01 and is 0.02"),
        ({"Trainer__batch_size": 4}, "Trainer.batch_size was 5 and is 4"),
        ({"Trainer__Splitter": {"seed": 1}}, r"Trainer\.Splitter\.\w+ was .* and is"),
        ({"Metrics": {"mae": {"E": 1}}}, "Metrics.rmse was .* and is None"),
        ({"Modelhub__FF01__loss": {"rmse": {"E": 2, "Fa": 1}}}, r"Modelhub.FF01.loss.rmse.E was 1.0 and is 2.0"),
        ({"Datahub__transforms": {"atomic_energy": "atomic_energy.csv"}}, "Datahub.content and options was .* and is"),
    ],
)
def test_what_changed_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], difference: str
) -> None:
    stop(monkeypatch)
    kept = [*(folder / "out/FF01-SchNet").iterdir(), *(folder / "out").glob("config*")]
    before = {path: path.read_bytes() for path in kept}
    with pytest.raises(ConfigError, match=f"not the training that was stopped: .*{difference}"):
        train_toy("out", resume=True, **changes)
    kept = [*(folder / "out/FF01-SchNet").iterdir(), *(folder / "out").glob("config*")]
    assert {path: path.read_bytes() for path in kept} == before


def test_other_data_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(monkeypatch)
    write_toy(folder, seed=1)
    with pytest.raises(ConfigError, match=r"Datahub.content and options was .* and is"):
        train_toy("out", resume=True)


def test_what_does_not_matter_may_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(monkeypatch)
    train_toy("out", resume=True, Trainer__cuda=False, Datahub__preload=False)


def test_another_number_of_threads_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(monkeypatch)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        train_toy("out", resume=True)
    finally:
        torch.set_num_threads(threads)
    text = "".join(path.read_text() for path in (folder / "out/logs").iterdir())
    assert f"The last bits may differ from those of a run that was not stopped: threads was {threads}" in text


def replaced_by_a_later_best(model: Path, expected: Path) -> None:
    (model / "best.safetensors").write_bytes((expected / "best.safetensors").read_bytes())


def replaced_by_that_of_another_seed(model: Path, _: Path) -> None:
    other = train_toy("other", Trainer__max_epochs=1, Trainer__seed=9)
    assert read_saved(other / "best.safetensors")[0]["epoch"] == 1
    (model / "best.safetensors").write_bytes((other / "best.safetensors").read_bytes())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (replaced_by_that_of_another_seed, "best.safetensors: this is not the potential of epoch 1"),
        (lambda model, _: (model / "best.safetensors").unlink(), "best.safetensors: no potential here"),
        (lambda model, _: (model / "last.safetensors").write_bytes(b"x" * 100), "last.safetensors: .* is damaged"),
        (replaced_by_a_later_best, "best.safetensors: this is not the potential of epoch 1"),
    ],
)
def test_damaged_states_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path, Path], None], message: str
) -> None:
    expected = train_toy("whole", Trainer__max_epochs=6, Trainer__learning_rate=1e-4)
    assert read_saved(expected / "best.safetensors")[0]["epoch"] == 6
    stop(monkeypatch)
    damage(folder / "out/FF01-SchNet", expected)
    with pytest.raises(DataError, match=message):
        train_toy("out", resume=True)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        # as a crash between the two files leaves them
        (["best.safetensors", "last.safetensors"], None),
        (["last.safetensors"], "best.safetensors: this is not the potential of epoch 1"),
        (["best.safetensors"], "best.safetensors: this is not the potential of epoch"),
    ],
)
def test_older_files_of_the_same_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], message: str | None
) -> None:
    """From a backup of both it goes on to the same end; a file of another time than the other is noticed."""
    backup: dict[str, bytes] = {}
    changes = {"Trainer__max_epochs": 6, "Trainer__learning_rate": 1e-4}  # each epoch is the best so far
    save = files.save_state

    def save_and_keep(state: Any, path: Path, about: dict[str, Any]) -> None:
        save(state, path, about)
        if about["epoch"] == 1:
            backup.update({file.name: file.read_bytes() for file in path.parent.glob("*.safetensors")})

    with monkeypatch.context() as patch:
        patch.setattr(files, "save_state", save_and_keep)
        expected = train_toy("out", **changes)
    after = contents(expected)
    assert all(backup[name] != after[name] for name in names)
    for name in names:
        (expected / name).write_bytes(backup[name])
    if message is not None:
        with pytest.raises(DataError, match=message):
            train_toy("out", resume=True, **changes)
    else:
        train_toy("out", resume=True, **changes)
        assert contents(expected) == after


def test_several_models_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = toy_config()["Modelhub"]
    models["FF02"] = {**models["FF01"], "suffix": "second"}
    train_toy("whole", Modelhub=models)
    with monkeypatch.context() as patch:
        interrupt(patch, pyg_nnp.training.step, "weighted_loss", 3 * STEPS + 5)
        with pytest.raises(KeyboardInterrupt):
            train_toy("stopped", Modelhub=models)
    train_toy("stopped", resume=True, Modelhub=models)
    for name in ("FF01-SchNet", "FF02-SchNet-second"):
        same(folder / "stopped" / name, folder / "whole" / name)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_save_and_end(folder: Path, number: signal.Signals, status: int) -> None:
    write_config(folder, yaml.safe_dump(toy_config(Trainer__max_epochs=100000, Trainer__patience=None)))
    process = Program([str(SCRIPT), "train.yaml", "-o", "out"], folder, OMP_NUM_THREADS="1")
    process.wait_for(folder / "out/FF01-SchNet/history.csv")  # after the first epoch
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == status
    assert message.rstrip().endswith("To go on, add --resume to the same command.")
    assert "Traceback" not in message
    assert "training" in read_saved(folder / "out/FF01-SchNet/last.safetensors")[0]
    assert not list((folder / "out/FF01-SchNet").glob("*.partial"))


def test_a_first_save_that_was_cut_between_its_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best state of the first epoch is there and the last one not, as after a full disk: it begins again."""
    whole = train_toy("whole")
    with monkeypatch.context() as patch:
        patch.setattr(files, "save_state", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(OSError, match="No space left"):
            train_toy("out")
    assert sorted(path.name for path in Path("out/FF01-SchNet").iterdir()) == [".lock", "best.safetensors", HISTORY]
    model = train_toy("out", resume=True)
    for name in (BEST, LAST, HISTORY):
        assert contents(model)[name] == contents(whole)[name]


def test_a_lost_last_state_is_not_written_over(folder: Path) -> None:
    model = train_toy("out")
    (model / LAST).unlink()
    best = (model / BEST).read_bytes()
    with pytest.raises(DataError, match=r"last.safetensors: no potential here"):
        train_toy("out", resume=True)
    assert (model / BEST).read_bytes() == best


def test_pretrained_model_is_not_needed_to_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = train_toy("trained")
    begun = {"Modelhub__FF01__pretrained": str(trained)}
    whole = train_toy("whole", **begun)
    with monkeypatch.context() as patch:
        interrupt(patch, TrainingState, "end_epoch", 2)
        with pytest.raises(KeyboardInterrupt):
            train_toy("out", **begun)
    trained.rename("elsewhere")
    model = train_toy("out", resume=True, **begun)
    assert (model / LAST).read_bytes() == (whole / LAST).read_bytes()


def test_seconds_of_an_epoch_are_those_of_all_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that is moved by hand: 10 s for each step and 1 s for what comes after it."""
    now, forward = [0.0], pyg_nnp.training.step.weighted_loss

    def slow(*args: Any) -> torch.Tensor:
        now[0] += 10
        return forward(*args)

    def evaluate(*args: Any) -> Any:
        now[0] += 1
        return errors(*args)

    errors = evaluation.add_errors
    for module in (fit, pyg_nnp.training.state):
        monkeypatch.setattr(module, "perf_counter", lambda: now[0])
    monkeypatch.setattr(pyg_nnp.training.step, "weighted_loss", slow)
    monkeypatch.setattr(evaluation, "add_errors", evaluate)
    with monkeypatch.context() as patch:
        interrupt(patch, torch.optim.Adam, "step", STEPS + 2)
        with pytest.raises(KeyboardInterrupt):
            train_toy("out")
    now[0] += 1000  # between the runs
    model = train_toy("out", resume=True)
    # the second epoch took its second step twice
    assert [row["seconds"] for row in history(model)] == [31, 41, 31]


def test_trainings_of_the_version_before_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the state nor the history has seconds, and there is no run.json."""
    expected = train_toy("whole")
    to_saved, row = TrainingState.to_saved, records.Epoch.row

    def to_saved_before(state: TrainingState) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        saved, tensors = to_saved(state)
        del saved["seconds"]
        return saved, tensors

    def row_before(found: records.Epoch) -> dict[str, float]:
        return {name: value for name, value in row(found).items() if name != "seconds"}

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "to_saved", to_saved_before)
        patch.setattr(records.Epoch, "row", row_before)
        interrupt(patch, pyg_nnp.training.step, "weighted_loss", STEPS + 2)
        with pytest.raises(KeyboardInterrupt):
            train_toy("out")
    (folder / "out/FF01-SchNet/run.json").unlink()
    model = train_toy("out", resume=True)
    for name in (BEST, LAST, "metrics.json"):
        assert (model / name).read_bytes() == (expected / name).read_bytes()
    names, *rows = (line.split(",") for line in (model / HISTORY).read_text().splitlines())
    assert names[-1] == "seconds"
    # what the other version did of the second epoch is not known
    assert [row[-1] for row in rows[:2]] == ["", "nan"]
    assert float(rows[2][-1]) > 0
    whole = (line.split(",") for line in (expected / HISTORY).read_text().splitlines())
    assert [row[:-1] for row in (names, *rows)] == [row[:-1] for row in whole]
    assert (model / "run.json").exists()


class Clock:
    """Lets half a second pass whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


def test_the_clock_ends_a_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within an epoch, which is then validated and saved; a resumed run counts the time before it."""
    clock = Clock()
    for module in (fit, pyg_nnp.training.state):
        monkeypatch.setattr(module, "perf_counter", clock)
    changes = {"Trainer__max_time": 0.2, "Trainer__max_epochs": 1, "Trainer__warmup_ratio": 0.1}
    whole = train_toy("whole", **changes)
    rows = history(whole)
    saved = read_saved(whole / LAST)[0]["training"]
    assert 12 <= saved["past_seconds"] < 14
    assert (saved["step"], saved["epoch"]) == (0, len(rows) + 1)
    assert len(rows) > 3, "max_epochs does not count"
    assert rows[-1]["learning_rate"] < 0.06 * max(row["learning_rate"] for row in rows)
    with monkeypatch.context() as patch:
        interrupt(patch, pyg_nnp.training.step, "weighted_loss", 8)
        with pytest.raises(KeyboardInterrupt):
            train_toy("stopped", **changes)
    before = read_saved(folder / "stopped/FF01-SchNet" / LAST)[0]["training"]
    assert 0 < before["past_seconds"] + before["seconds"] < 10
    resumed = train_toy("stopped", resume=True, **changes)
    assert 12 <= read_saved(resumed / LAST)[0]["training"]["past_seconds"] < 14
    assert abs(len(history(resumed)) - len(rows)) <= 1
    train_toy("stopped", resume=True, **changes)
    assert "The max_time is over." in "".join(path.read_text() for path in (folder / "stopped/logs").iterdir())


def test_a_training_of_before_these_options_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, pyg_nnp.training.step, "weighted_loss", 5)
        with pytest.raises(KeyboardInterrupt):
            train_toy("stopped")
    last = folder / "stopped/FF01-SchNet" / LAST
    description, tensors = read_saved(last)
    for key in ("optimizer", "weight_decay", "ema", "max_time", "plateau_patience"):
        del description["training"]["protocol"]["Trainer"][key]
    del description["training"]["plateau"]
    description.pop("sha256")
    last.write_bytes(sealed(description, tensors)[0])
    resumed = train_toy("stopped", resume=True)
    same(resumed, train_toy("whole"))
