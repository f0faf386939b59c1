"""Errors over frames, in large batches."""

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch
from toy import toy_config
from toy_training import run_toy

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.potential import predictor
from pyg_nnp.training.evaluation import evaluate


@pytest.mark.parametrize(("atoms", "evaluated"), [(8192, [6]), (1, [5, 1])])
def test_evaluation_takes_large_batches(
    folder: Path, monkeypatch: pytest.MonkeyPatch, atoms: int, evaluated: list[int]
) -> None:
    """Of as many atoms as fit, but never smaller than those of the training."""
    sizes: list[int] = []
    batch = MoleculeDataset.batch

    def noted(self: MoleculeDataset, indices: torch.Tensor) -> Batch:
        sizes.append(len(indices))
        return batch(self, indices)

    monkeypatch.setattr(MoleculeDataset, "batch", noted)
    monkeypatch.setattr(predictor, "ATOMS_TO_EVALUATE", atoms)
    run_toy(Path("out"), Trainer__max_epochs=1)
    # an epoch with its validation, and at the end validation and test part
    expected = [5, 5, 2, *evaluated, *evaluated, *evaluated]
    assert sizes[-len(expected) :] == expected


def test_evaluation_takes_no_second_derivatives_and_returns_to_training(folder: Path) -> None:
    config = config_from_dict(toy_config())
    dataset = MoleculeDataset.from_config(config, ".")
    potential = pyg_nnp.build_potential(config, "FF01").train()
    modes: list[bool] = []
    potential.layers[-1].register_forward_pre_hook(lambda layer, inputs: modes.append(layer.training))
    evaluate(potential, dataset.batches(torch.arange(10), 5), {"rmse": {"E": 1.0}})
    assert modes == [False, False]
    assert potential.training
