"""Steps: gradients, and messages where the loss is not finite."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import toy_config, write_toy
from toy_training import run_toy, train_toy

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.errors import TrainingError
from pyg_nnp.training.step import Gradients


def test_divergence_is_an_error(folder: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"epoch 1, step \d: the loss is (nan|inf).*are as they were.*smaller learning_rate"
    ):
        run_toy(Path("out"), Trainer__learning_rate=1e30)
    assert not (folder / "out" / "FF01-SchNet").exists()  # nothing that would stand in the way of the next try


def test_divergence_names_the_frames_and_leaves_the_weights(folder: Path) -> None:
    frames = write_toy(folder)
    frames[7]["energy"] = 1e300  # more than single precision has
    frames[7]["forces"] = frames[7]["forces"] + 3.0
    (folder / "dataset.pkl").write_bytes(pickle.dumps(frames))
    changes = {"Trainer__Splitter": {"parts": ["training"], "ratios": [1.0]}, "Trainer__max_norm": 1.0}
    with pytest.raises(TrainingError) as raised:
        train_toy("out", Trainer__batch_size=24, **changes)
    message = str(raised.value)
    assert message.startswith("epoch 1, step 1: the loss is inf")
    assert "Its frames are " in message
    assert sorted(int(n) for n in message.split("frames are ")[1].split(".")[0].split(", ")) == list(range(24))
    largest = np.linalg.norm(frames[7]["forces"], axis=1).max()
    assert f"The largest force in the data is {largest:.6g}, in frame 7." in message
    shortest = [np.linalg.norm(f["coordinates"][:, None] - f["coordinates"], axis=2) for f in frames]
    closest = min(range(24), key=lambda i: (shortest[i] + 9 * np.eye(3)).min())
    assert f"in frame {closest}. Look at these frames" in message


def test_max_norm_scales_the_gradient(folder: Path) -> None:
    config = config_from_dict(toy_config())
    dataset = pyg_nnp.data.MoleculeDataset.from_config(config, ".")
    potential = pyg_nnp.build_potential(config, "FF01")
    parameters, loss = list(potential.parameters()), config.Modelhub.internal_FFs["FF01"].loss

    def gradient(max_norm: float | None) -> torch.Tensor:
        Gradients(potential, parameters, loss, max_norm)(dataset.batch([0, 1, 2]))
        return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])

    free = gradient(None)
    assert float(free.norm()) > 0.1
    torch.testing.assert_close(gradient(0.1), free * 0.1 / free.norm(), rtol=1e-4, atol=1e-7)
    assert torch.equal(gradient(float(free.norm()) * 2), free)
