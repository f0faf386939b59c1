"""Errors over a part of the data."""

from pathlib import Path

import pytest
import torch
from toy import toy_config

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.training.evaluation import evaluate


def test_metrics_do_not_depend_on_batches(folder: Path) -> None:
    config = config_from_dict(toy_config())
    dataset = MoleculeDataset.from_config(config, ".")
    potential = pyg_nnp.build_potential(config, "FF01")
    weights = {"rmse": {"E": 1.0, "Fa": 1.0}, "mae": {"M2": 1.0}, "mse": {"Qa": 1.0}}
    frames = torch.arange(len(dataset))
    whole, cut = (evaluate(potential, dataset.batches(frames, size), weights) for size in (100, 5))
    predicted, batch = potential.eval()(dataset.batch(frames)), dataset.batch(frames)
    assert potential.training is False
    for kind, of in whole.items():
        for name, value in of.items():
            assert cut[kind][name] == pytest.approx(value, rel=1e-5)
            error = (predicted[name] - batch[name]).double()
            by_hand = {"rmse": error.square().mean().sqrt(), "mse": error.square().mean(), "mae": error.abs().mean()}
            assert value == pytest.approx(float(by_hand[kind]), rel=1e-5)
