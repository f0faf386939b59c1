"""The training loop: early stopping, order of frames, the best potential."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import toy_config
from toy_training import history, run_toy

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import TrainingError
from pyg_nnp.training import fit, records
from pyg_nnp.training.callbacks.base import Callback, CallbackList
from pyg_nnp.training.evaluation import evaluate
from pyg_nnp.training.state import TrainingData, TrainingState
from pyg_nnp.training.step import Gradients


def test_training_learns(folder: Path) -> None:
    rows = history(run_toy(Path("out"), Trainer__max_epochs=40))
    assert rows[-1]["rmse_Fa"] < 0.5 * rows[0]["rmse_Fa"]


def test_the_validation_loss_has_the_weights_of_its_time(folder: Path) -> None:
    """Of 3 epochs of 3 steps, the first ends before step 3 of 0 to 8; in the last only forces are left."""
    weights = {"rmse": {"E": {"from": 8.0, "to": 0.0}, "Fa": {"from": 0.0, "to": 1.0}}}
    rows = history(run_toy(Path("out"), Modelhub__FF01__loss=weights))
    for row, progress in zip(rows, (3 / 8, 6 / 8, 1.0), strict=True):
        expected = 8 * (1 - progress) * row["rmse_E"] + progress * row["rmse_Fa"]
        assert row["validation_loss"] == pytest.approx(expected, rel=1e-6)


def orders(monkeypatch: pytest.MonkeyPatch, out: str, **changes: object) -> list[list[float]]:
    """Return the energies of the training frames in the order in which each epoch takes them."""
    epochs: list[list[float]] = []

    def train_epoch(state, data, batch_size, *args) -> float:
        frames = state.shuffled(data.parts["training"])
        epochs.append([float(energy) for batch in data.dataset.batches(frames, batch_size) for energy in batch.E])
        return 1.0

    monkeypatch.setattr(fit, "train_epoch", train_epoch)
    run_toy(Path(out), **changes)
    return epochs


def test_every_epoch_has_every_frame_once_and_an_order_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = orders(monkeypatch, "out")
    assert len(epochs) == 3
    for energies in epochs:
        assert len(set(energies)) == 12  # two full batches of 5 and one of 2
        assert sorted(energies) == sorted(epochs[0])
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_order_does_not_depend_on_validation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"parts": ["training", "other", "test"], "ratios": [0.5, 0.25, 0.25]}
    assert orders(monkeypatch, "a") == orders(monkeypatch, "b", Trainer__Splitter=parts)


def test_without_validation_the_last_is_the_best(folder: Path) -> None:
    parts = {"parts": ["training", "test"], "ratios": [0.5, 0.5]}
    model = run_toy(Path("out"), Trainer__Splitter=parts, Trainer__patience=1, Trainer__max_epochs=4)
    assert len(history(model)) == 4
    assert "score" not in history(model)[0]
    best, last = (pyg_nnp.load_potential(model / f"{state}.safetensors").state_dict() for state in ("best", "last"))
    assert all(torch.equal(best[name], last[name]) for name in best)


def test_patience_stops_early(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([3.0, 2.0, 2.5, math.nan, 2.0, 1.0])
    monkeypatch.setattr(
        records.Epoch, "validated", lambda found, *_: replace(found, validation_loss=0.0, score=next(scores))
    )
    model = run_toy(Path("out"), Trainer__patience=3, Trainer__max_epochs=6)
    assert len(history(model)) == 5
    assert pyg_nnp.load_potential(model).spec["epoch"] == 2


def test_no_finite_score_leaves_no_best_potential(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "weighted_sum", lambda errors, weights: math.nan)
    with pytest.raises(TrainingError, match="no epoch had a finite validation score"):
        run_toy(Path("out"))
    model = folder / "out" / "FF01-SchNet"
    assert pyg_nnp.load_potential(model / "last.safetensors").spec["score"] is None
    assert not (model / "best.safetensors").exists()
    assert not (model / "metrics.json").exists()


@pytest.mark.parametrize("parts", [["training", "test"], ["training", "validation"]])
def test_broken_parameters_are_never_the_best(folder: Path, parts: list[str]) -> None:
    """A single step can break them after the only loss was computed."""
    with pytest.raises(
        TrainingError,
        match=r"epoch 1: after its last step the loss is not finite|no epoch had a finite",
    ):
        run_toy(
            Path("out"),
            Trainer__Splitter={"parts": parts, "ratios": [0.5, 0.5]},
            Trainer__batch_size=12,
            Trainer__max_epochs=1,
            Trainer__learning_rate=1e25,
        )
    assert not list((folder / "out").glob("FF01-SchNet/best*"))


def test_an_untrained_potential_is_never_the_best(folder: Path) -> None:
    changes = {"Trainer__batch_size": 12, "Trainer__max_epochs": 1, "Trainer__warmup_ratio": 1.0}
    trained = pyg_nnp.load_potential(run_toy(Path("out"), **changes)).state_dict()
    fresh = pyg_nnp.build_potential(config_from_dict(toy_config(**changes)), "FF01").state_dict()
    assert not torch.equal(trained["layers.4.interactions.0.lin.weight"], fresh["layers.4.interactions.0.lin.weight"])


def test_double_precision(folder: Path) -> None:
    model = run_toy(Path("out"), Trainer__dtype="double")
    potential = pyg_nnp.load_potential(model)
    assert potential.dtype == torch.float64
    dataset = MoleculeDataset.from_config(pyg_nnp.load_config("out/config.yaml"), "out")
    assert potential(dataset.batch([0, 1]))["Fa"].dtype == torch.float64


class Steps(Callback):
    """Notes how many steps were taken, and which parts of them were over."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.parts: list[str] = []

    def on_step(self, state: TrainingState) -> None:
        self.taken.append(state.global_step)

    def on_lap(self, part: str) -> None:
        self.parts.append(part)


def test_training_loss_is_the_mean_over_frames(folder: Path) -> None:
    """Batches of 5, 5, 5, 5 and 4 frames; without a step the mean absolute error is that of all frames together."""
    config = config_from_dict(toy_config())
    dataset = MoleculeDataset.from_config(config, ".")
    potential = pyg_nnp.build_potential(config, "FF01")
    data = TrainingData(dataset, {"training": torch.arange(len(dataset))})
    state = TrainingState.begin(potential, config.Trainer, data.parts)
    state.optimizer = torch.optim.SGD(potential.parameters())
    gradients = Gradients(potential, potential.parameters(), {"mae": {"E": 1.0}})
    steps = Steps()
    loss = fit.train_epoch(state, data, 5, gradients, lambda step: 0.0, CallbackList([steps]))
    assert steps.taken == [1, 2, 3, 4, 5]
    assert steps.parts == ["data", "optimiser", "rest"] * 5
    whole = evaluate(potential, [dataset.batch(torch.arange(len(dataset)))], {"mae": {"E": 1.0}})
    assert loss == pytest.approx(whole["mae"]["E"], rel=1e-6)
