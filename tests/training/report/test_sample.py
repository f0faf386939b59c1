from pathlib import Path

import pytest
import torch
from reports import opened

from pyg_nnp.training.report.sample import sample


def test_sample_by_hand(reported: Path) -> None:
    _, dataset, _ = opened(reported / "out")
    energies = torch.zeros(119, dtype=torch.float64)
    energies[1] = 10.0
    found = sample(dataset, energies)
    hydrogens = [int((dataset[index].Za == 1).sum()) for index in range(24)]
    assert found.values["E"] == pytest.approx([float(dataset[i].E) - 10 * hydrogens[i] for i in range(24)])
    assert len(found.distances) == len(found.values["Za"])
    pairs = {f"{d:.4f}" for i in range(24) for d in torch.pdist(dataset[i].Ra.double()).tolist()}
    assert {f"{d:.4f}" for d in found.distances} <= pairs
