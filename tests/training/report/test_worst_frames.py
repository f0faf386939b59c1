"""Errors of some frames against those by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from reports import opened

from pyg_nnp import load_potential
from pyg_nnp.training.report.worst_frames import worst_frames


def test_errors_of_frames_by_hand(reported: Path) -> None:
    _, dataset, parts = opened(reported / "out")
    potential = load_potential(reported / "out/FF01-SchNet")
    chosen = parts["test"].flip(0)
    found = worst_frames(potential, dataset, chosen, ["E", "Fa"])
    assert [frame.index for frame in found] == chosen.tolist()
    for frame in found:
        true = dataset[frame.index]
        predicted = potential(true)
        error = (predicted["Fa"] - true.Fa).double().numpy()
        assert frame.errors.keys() == {"E", "Fa"}
        assert frame.errors["E"] == pytest.approx(float(predicted["E"] - true.E), abs=1e-5)
        assert frame.errors["Fa"] == pytest.approx(float(np.sqrt(np.mean(error**2))), rel=1e-5)
        assert frame.force_errors == pytest.approx(np.linalg.norm(error, axis=1), rel=1e-4)
        assert frame.Za.tolist() == true.Za.tolist()
        np.testing.assert_array_equal(frame.Ra, true.Ra.double())
    (of_energies,) = worst_frames(potential, dataset, torch.tensor([3]), ["E"])
    assert of_energies.force_errors is None
