"""The learning rate of each step."""

import pytest
import torch
from toy import toy_config

from pyg_nnp import build_potential
from pyg_nnp.config import config_from_dict
from pyg_nnp.training.schedule import learning_rates, lr_schedule, progress
from pyg_nnp.training.state import TrainingState


def test_linear_schedule_by_hand() -> None:
    factor = lr_schedule("linear", 11, 0.2)
    assert [factor(step) for step in range(3)] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert factor(6) == pytest.approx(0.5)
    assert factor(10) == 0.0
    assert factor(11) == 0.0  # asked for once more than there are steps


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_a_run_begins_with_a_step_and_reaches_the_rate(name: str, steps: int, warmup: float) -> None:
    factors = [lr_schedule(name, steps, warmup)(step) for step in range(steps)]
    assert factors[0] > 0
    assert max(factors) == 1
    assert steps == 1 or factors[-1] == (1 if name == "constant" else pytest.approx(0))


def test_other_schedules_by_hand() -> None:
    cosine, constant = (lr_schedule(name, 101, 0.0) for name in ("cosine", "constant"))
    assert [cosine(0), cosine(50), cosine(100)] == pytest.approx([1.0, 0.5, 0.0])
    assert {constant(0), constant(50), constant(100)} == {1.0}


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
def test_schedules_stay_between_0_and_1(name: str, steps: int, warmup: float) -> None:
    factor = lr_schedule(name, steps, warmup)
    assert all(0 <= factor(step) <= 1 for step in range(steps + 1))


def test_progress_goes_from_the_first_step_to_the_last() -> None:
    config = config_from_dict(toy_config(Trainer__max_epochs=2, Trainer__batch_size=4))
    state = TrainingState.begin(build_potential(config, "FF01"), config.Trainer, {"training": torch.arange(12)})
    found = []
    for state.epoch, state.step in ((1, 0), (1, 1), (2, 0), (2, 2), (2, 3)):
        found.append(progress(state, config.Trainer))
    assert found == [0, 0.2, 0.6, 1, 1]
    state.time_limit = 120.0
    for state.past_seconds, expected in ((0, 0), (30, 0.25), (130, 1)):
        assert progress(state, config.Trainer) == expected


def test_the_clock_leads_from_warm_up_to_the_end() -> None:
    config = config_from_dict(toy_config(Trainer__max_time=2, Trainer__warmup_ratio=0.1, Trainer__learning_rate=1.0))
    potential = build_potential(config, "FF01")
    state = TrainingState.begin(potential, config.Trainer, {"training": torch.arange(12)})
    rate = learning_rates(state, config.Trainer)
    found = []
    for seconds in (0, 6, 12, 66, 119.9999, 130):
        state.past_seconds = seconds
        found.append(rate(0))
    assert found == pytest.approx([0, 0.5, 1, 0.5, 0, 0], abs=1e-5)
    assert not state.is_out_of_time, "one step at least"
    state.step = 1
    assert state.is_out_of_time
    assert not state.is_over(1), "the epoch is still to be validated"


def test_plateaus_halve_the_rate() -> None:
    config = config_from_dict(toy_config(Trainer__schedule="plateau", Trainer__learning_rate=1.0))
    state = TrainingState.begin(build_potential(config, "FF01"), config.Trainer, {"training": torch.arange(12)})
    rate = learning_rates(state, config.Trainer)
    assert rate(100) == 1.0
    state.plateau.halvings = 3
    assert rate(100) == 0.125
