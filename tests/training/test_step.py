"""Steps: learning rates, gradients, and messages where the loss is not finite."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import toy_config, write_toy
from toy_training import run_toy, train_toy

import pyg_nnp
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.training.metrics import evaluate
from pyg_nnp.training.state import Best, Progress, Training
from pyg_nnp.training.step import Gradients, TrainingError, rate_schedule, train_epoch


def test_linear_schedule_by_hand() -> None:
    share = rate_schedule("linear", 11, 0.2)
    assert [share(step) for step in range(3)] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert share(6) == pytest.approx(0.5)
    assert share(10) == 0.0
    assert share(11) == 0.0  # asked for once more than there are steps


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_a_run_begins_with_a_step_and_reaches_the_rate(name: str, steps: int, warmup: float) -> None:
    shares = [rate_schedule(name, steps, warmup)(step) for step in range(steps)]
    assert shares[0] > 0
    assert max(shares) == 1
    assert steps == 1 or shares[-1] == (1 if name == "constant" else pytest.approx(0))


def test_other_schedules_by_hand() -> None:
    cosine, constant = (rate_schedule(name, 101, 0.0) for name in ("cosine", "constant"))
    assert [cosine(0), cosine(50), cosine(100)] == pytest.approx([1.0, 0.5, 0.0])
    assert {constant(0), constant(50), constant(100)} == {1.0}


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
def test_schedules_stay_between_0_and_1(name: str, steps: int, warmup: float) -> None:
    share = rate_schedule(name, steps, warmup)
    assert all(0 <= share(step) <= 1 for step in range(steps + 1))


def test_divergence_is_an_error(folder: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"epoch 1, step \d: the loss is (nan|inf).*are as they were.*smaller learning_rate"
    ):
        run_toy(Path("out"), Trainer__learning_rate=1e30)
    assert not (folder / "out" / "FF01-SchNet").exists()  # nothing that would stand in the way of the next try


def test_training_loss_is_the_mean_over_frames(folder: Path) -> None:
    """Batches of 5, 5, 5, 5 and 4 frames; without a step the mean absolute error is that of all frames together."""
    config = config_from_dict(toy_config())
    dataset = MoleculeDataset.from_config(config, ".")
    potential = pyg_nnp.build_potential(config, "FF01")
    optimizer = torch.optim.SGD(potential.parameters())
    state = Training(potential, optimizer, Progress(Best(None), torch.get_rng_state(), 5))
    taken: list[int] = []
    gradients = Gradients(potential, potential.parameters(), {"mae": {"E": 1.0}})
    frames = torch.arange(len(dataset))
    loss = train_epoch(state, dataset, frames, config.Trainer, gradients, lambda step: 0.0, taken.append)
    assert taken == [1, 2, 3, 4, 5]
    whole = evaluate(potential, [dataset.batch(torch.arange(len(dataset)))], {"mae": {"E": 1.0}})
    assert loss == pytest.approx(whole["mae"]["E"], rel=1e-6)


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
        pyg_nnp.training.step.Gradients(potential, parameters, loss, max_norm)(dataset.batch([0, 1, 2]))
        return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])

    free = gradient(None)
    assert float(free.norm()) > 0.1
    torch.testing.assert_close(gradient(0.1), free * 0.1 / free.norm(), rtol=1e-4, atol=1e-7)
    assert torch.equal(gradient(float(free.norm()) * 2), free)
