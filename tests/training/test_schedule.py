"""The learning rate of each step."""

import pytest

from pyg_nnp.training.schedule import lr_schedule


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
