"""Weights that are suited to the data: once, before the first step of a new training, and never again."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from toy import toy_config, write_config
from toy_training import train_toy

from pyg_nnp.commands import cli
from pyg_nnp.layers import CartesianCore
from pyg_nnp.potential.checkpoint import read_saved
from pyg_nnp.training import train_model
from pyg_nnp.training.state import TrainingState


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of atoms of each sample."""
    found: list[int] = []
    initialise = CartesianCore.initialise

    def counted(core: CartesianCore, **fields: Tensor) -> None:
        found.append(len(fields["x"]))
        initialise(core, **fields)

    monkeypatch.setattr(CartesianCore, "initialise", counted)
    return found


def train(out: str, **changes: object) -> dict[str, Tensor]:
    write_config(Path(), toy_config(Modelhub__FF01__architecture="Cartesian", **changes))
    resume = ["--resume"] if Path(out).exists() else []
    assert cli.main(["train", "train.yaml", "-o", out, *resume]) == 0
    return read_saved(Path(out) / "FF01-Cartesian" / "last.safetensors")[1]


def test_weights_are_suited_once(folder: Path, calls: list[int]) -> None:
    """A training that is resumed when it is over, and one that begins with the parameters of another, do not do it."""
    first = train("out", Trainer__max_epochs=1)
    neighbors = [value for name, value in first.items() if name.endswith("num_neighbors")]
    assert calls == [30]  # ten molecules of water
    assert [float(n) for n in neighbors] == [2.0]
    again = train("out", Trainer__max_epochs=1)
    assert all(torch.equal(first[name], value) for name, value in again.items() if name.startswith("layers."))
    train("other", Trainer__max_epochs=1, Modelhub__FF01__pretrained="out/FF01-Cartesian")
    assert len(calls) == 1


def test_averages_begin_with_the_weights_that_suit_the_data(
    folder: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[TrainingState] = []

    def interrupted(state: TrainingState, *_: object) -> None:
        begun.append(state)
        raise KeyboardInterrupt

    monkeypatch.setattr(train_model, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_toy("out", Modelhub__FF01__architecture="Cartesian", Trainer__ema=0.99)
    assert len(calls) == 1
    (state,) = begun
    assert state.averages is not None
    for value, parameter in zip(state.averages._values, state.potential.parameters(), strict=True):
        assert torch.equal(value, parameter)
