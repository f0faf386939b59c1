"""Errors over frames, in large batches."""

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch
from toy_training import run_toy

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.potential import predictor


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
