"""The loop of one's own takes the steps of ``train``."""

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils.data import Sampler
from torch_geometric.loader import DataLoader
from toy import toy_config, write_config, write_toy

import pyg_nnp
from pyg_nnp.commands import cli
from pyg_nnp.potential.potential import Potential

LOOP = Path(__file__).resolve().parents[2] / "examples" / "own_training_loop.py"


class OrderOfTrain(Sampler[int]):
    """The order in which ``train`` takes its frames: a permutation an epoch, of one generator."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.generator = count, torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        yield from torch.randperm(self.count, generator=self.generator).tolist()


def farthest(one: Potential, other: Potential) -> float:
    """Return the largest difference of a parameter, as a share of the largest parameter of the same tensor."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max() / b.detach().abs().max()) for a, b in pairs)


def test_it_ends_with_the_potential_that_train_ends_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, names=("H2O", "CH3OH"))
    changes = {"dtype": "float64", "warmup_ratio": 0.3, "schedule": "cosine", "max_epochs": 4}
    write_config(tmp_path, toy_config(**{f"Trainer__{key}": value for key, value in changes.items()}))
    assert cli.main(["train", "train.yaml"]) == 0
    theirs = pyg_nnp.load_potential("FF01-SchNet/last.safetensors")

    loop, config = runpy.run_path(str(LOOP)), pyg_nnp.load_config("train.yaml")
    trainer, weights = config.Trainer, config.Modelhub.internal_FFs["FF01"].loss
    potential, parts, of_labels = loop["prepare"](config, "FF01", tmp_path)
    sampler = OrderOfTrain(len(parts["training"]), trainer.seed)
    loader = DataLoader(parts["training"], trainer.batch_size, sampler=sampler)
    loop["fit"](potential, loader, DataLoader(parts["validation"], trainer.batch_size), trainer, weights, of_labels)
    assert farthest(potential, theirs) < 1e-9
    batch = next(iter(DataLoader(parts["test"], 6)))
    expected = theirs(batch)
    for name, value in potential.eval()(batch).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-9)

    # as it stands it takes another order, and ends elsewhere
    loop["main"]("train.yaml", "FF01", tmp_path)
    assert farthest(pyg_nnp.load_potential("FF01.safetensors"), theirs) > 1e-4
