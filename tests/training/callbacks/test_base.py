"""The events of a training, in their order."""

from pathlib import Path

import pytest
import torch
from toy import toy_config
from toy_training import interrupt

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.training import fit, step
from pyg_nnp.training.callbacks.base import Callback, CallbackList
from pyg_nnp.training.callbacks.files import Checkpoints, HistoryWriter
from pyg_nnp.training.records import Epoch
from pyg_nnp.training.state import TrainingData, TrainingSettings, TrainingState


class Events(Callback):
    """Notes the events, the epoch and step of the state, and the files that are there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: list[tuple[str, int, int, tuple[str, ...]]] = []

    def note(self, event: str, state: TrainingState) -> None:
        files = tuple(sorted(path.name.partition(".")[0] for path in self.folder.iterdir()))
        self.found.append((event, state.epoch, state.step, files))

    def on_begin(self, state: TrainingState) -> None:
        self.note("begin", state)

    def on_step(self, state: TrainingState) -> None:
        self.note("step", state)

    def on_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        assert epoch.number == state.epoch
        self.note("epoch", state)

    def on_next_epoch(self, state: TrainingState, epoch: Epoch) -> None:
        assert epoch.number == state.epoch - 1
        self.note("next epoch", state)

    def on_interrupt(self, state: TrainingState) -> None:
        self.note("interrupt", state)

    def on_end(self, state: TrainingState) -> None:
        self.note("end", state)


@pytest.fixture
def events(folder: Path) -> Events:
    (folder / "model").mkdir()
    return Events(folder / "model")


def run(events: Events, max_epochs: int) -> None:
    config = config_from_dict(toy_config(Trainer__max_epochs=max_epochs, Trainer__batch_size=12))
    dataset = MoleculeDataset.from_config(config, ".")
    data = TrainingData(dataset, {"training": torch.arange(24)})
    loss = config.Modelhub.internal_FFs["FF01"].loss
    settings = TrainingSettings(config.Trainer, loss, config.Metrics, events.folder)
    state = TrainingState.begin(pyg_nnp.build_potential(config, "FF01"), config.Trainer, data.parts)
    # the events first, so that each sees what was on the disk before it
    fit.fit(state, data, settings, [events, Checkpoints(events.folder), HistoryWriter(events.folder)])


def test_events_of_a_training(events: Events) -> None:
    run(events, 2)
    assert events.found == [
        ("begin", 1, 0, ()),
        ("step", 1, 1, ()),
        ("step", 1, 2, ()),
        ("epoch", 1, 2, ()),
        # the best potential and the history are on the disk before the last state
        ("next epoch", 2, 0, ("best", "history")),
        ("step", 2, 1, ("best", "history", "last")),
        ("step", 2, 2, ("best", "history", "last")),
        ("epoch", 2, 2, ("best", "history", "last")),
        ("next epoch", 3, 0, ("best", "history", "last")),
        ("end", 3, 0, ("best", "history", "last")),
    ]


def test_events_of_a_training_that_is_interrupted(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, step, "weighted_loss", 2)
    with pytest.raises(KeyboardInterrupt):
        run(events, 2)
    assert events.found == [
        ("begin", 1, 0, ()),
        ("step", 1, 1, ()),
        ("interrupt", 1, 1, ()),
        ("end", 1, 1, ("last",)),
    ]


def test_parts_are_told_apart_only_if_somebody_wants_to_know() -> None:
    class Laps(Callback):
        def __init__(self) -> None:
            self.parts: list[str] = []

        def on_lap(self, part: str) -> None:
            self.parts.append(part)

    laps = Laps()
    assert CallbackList([Callback()]).lap is None
    lap = CallbackList([Callback(), laps]).lap
    assert lap is not None
    lap("forward")
    assert laps.parts == ["forward"]
