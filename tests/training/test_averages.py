"""Averages of the parameters against their formula; what validates and what goes on."""

from pathlib import Path

import pytest
import torch
from toy import toy_config
from toy_training import history, interrupt, same, train_toy

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.potential.checkpoint import read_saved
from pyg_nnp.training import evaluation, step
from pyg_nnp.training.averages import Averages


def test_averages_are_those_of_the_formula() -> None:
    potential = pyg_nnp.build_potential(config_from_dict(toy_config()), "FF01")
    averages = Averages(potential, 0.9)
    parameter = next(potential.parameters())
    expected = parameter.detach().double().clone()
    for t in range(200):
        with torch.no_grad():
            parameter.add_(0.1)
        averages.update(t)
        decay = min(0.9, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * parameter.detach().double()
    before = parameter.detach().clone()
    with averages.applied():
        torch.testing.assert_close(parameter.detach().double(), expected, rtol=1e-5, atol=1e-5)
        assert not torch.equal(parameter, before)
    assert torch.equal(parameter, before)


def test_the_parameters_come_back_after_an_error() -> None:
    potential = pyg_nnp.build_potential(config_from_dict(toy_config()), "FF01")
    averages = Averages(potential, 0.9)
    before = [parameter.detach().clone() for parameter in potential.parameters()]
    with torch.no_grad():
        for value in averages._values:
            value.add_(1.0)
    with pytest.raises(KeyboardInterrupt), averages.applied():
        raise KeyboardInterrupt
    assert all(torch.equal(p, value) for p, value in zip(potential.parameters(), before, strict=True))


def test_averages_are_validated_and_saved_as_best_and_training_goes_on_as_without(folder: Path) -> None:
    plain, averaged = train_toy("plain"), train_toy("averaged", Trainer__ema=0.999)
    losses = [[row["training_loss"] for row in history(out)] for out in (plain, averaged)]
    assert losses[0] == losses[1]
    assert history(plain)[-1]["score"] != history(averaged)[-1]["score"]
    _, last = read_saved(averaged / "last.safetensors")
    _, best = read_saved(averaged / "best.safetensors")
    numbers = sorted(int(name.rpartition(".")[2]) for name in last if name.startswith("training.average."))
    names = [n for n, _ in pyg_nnp.load_potential(averaged).named_parameters()]
    assert len(names) == len(numbers)
    if read_saved(averaged / "best.safetensors")[0]["epoch"] == 3:
        for number, name in zip(numbers, names, strict=True):
            assert torch.equal(last[f"training.average.{number}"], best[name])
            assert not torch.equal(last[name], best[name]) or number == 0
    _, of_plain = read_saved(plain / "last.safetensors")
    assert all(torch.equal(of_plain[name], last[name]) for name in names)


@pytest.mark.parametrize("place", ["step", "validation"])
def test_resumed_with_everything_is_the_same_bits(folder: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    owner, name, at = {"step": (step, "weighted_loss", 5), "validation": (evaluation, "add_errors", 2)}[place]
    changes = {
        "Trainer__ema": 0.99,
        "Trainer__optimizer": "muon",
        "Trainer__schedule": "plateau",
        "Trainer__plateau_patience": 1,
        "Trainer__weight_decay": 0.01,
        "Trainer__max_epochs": 5,
    }
    expected = train_toy("whole", **changes)
    with monkeypatch.context() as patch:
        interrupt(patch, owner, name, at)
        with pytest.raises(KeyboardInterrupt):
            train_toy("stopped", **changes)
    same(train_toy("stopped", resume=True, **changes), expected)
