"""What a potential reads, predicts and refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from molecules import make_data
from torch_geometric.data import Batch
from toy import toy_config
from toy_training import run_toy

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import DataError


def test_predicted_energies_are_total_energies(folder: Path) -> None:
    """Reference energies come back in, in double precision: what remains is what the network predicts."""
    model = run_toy(Path("out"), Modelhub__FF01__loss={"rmse": {"E": 1}}, Trainer__max_epochs=30)
    dataset = MoleculeDataset.from_config(pyg_nnp.load_config("out/config.yaml"), "out")
    predicted = pyg_nnp.load_potential(model)(dataset.batch(torch.arange(5)))
    assert predicted["E"].dtype == torch.float64
    assert float((predicted["E"] - dataset.E[:5]).abs().max()) < 2.0
    assert float(dataset.E.mean()) < -75.0


def test_batch_is_not_modified(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = MoleculeDataset.from_config(config_from_dict(toy_config()), ".")
    batch = dataset.batch(torch.arange(4))
    before = {name: value.clone() for name, value in batch.to_dict().items() if isinstance(value, torch.Tensor)}
    potential = pyg_nnp.build_potential(config_from_dict(toy_config()), "FF01")
    potential(batch)["Fa"].sum().backward()
    after: Batch = batch
    assert before.keys() == {name for name, value in after.to_dict().items() if isinstance(value, torch.Tensor)}
    for name, value in before.items():
        assert torch.equal(after[name], value), name
        assert not after[name].requires_grad


def test_labels_cannot_leak_into_a_prediction(folder: Path) -> None:
    dataset = MoleculeDataset.from_config(config_from_dict(toy_config()), ".")
    potential = pyg_nnp.build_potential(config_from_dict(toy_config()), "FF01").eval()
    batch, blind = dataset.batch(torch.arange(4)), dataset.batch(torch.arange(4))
    for name in ("E", "Fa", "Qa", "M2"):
        blind[name] = torch.full_like(blind[name], float("nan"))
    for name, value in potential(batch).items():
        assert torch.equal(value, potential(blind)[name])


def test_elements_never_seen_are_refused(folder: Path) -> None:
    potential = pyg_nnp.load_potential(run_toy(Path("out")))
    data = make_data([6, 1], np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.1]]), dtype=torch.float32)
    with pytest.raises(DataError, match="this potential was not trained on C, only on H, O"):
        potential(data)


def test_inference_mode_predicts_forces_too(folder: Path) -> None:
    potential = pyg_nnp.load_potential(run_toy(Path("out")))
    dataset = MoleculeDataset.from_config(pyg_nnp.load_config("out/config.yaml"), "out")
    expected = potential(dataset.batch([0, 1]))
    with torch.inference_mode():
        predicted = potential(dataset.batch([0, 1]))
    assert torch.equal(predicted["Fa"], expected["Fa"])
