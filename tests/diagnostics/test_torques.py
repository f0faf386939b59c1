"""Forces that turn molecules, which those of a molecule in vacuum cannot, are told."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import Frame, report
from scipy.spatial.transform import Rotation
from small_set import FRAMES, config

from pyg_nnp.diagnostics.torques import relative_torques


def turned(frame: Frame, rng: np.random.Generator) -> Frame:
    return {"Ra": Rotation.random(rng=rng).apply(frame["Ra"])}


def in_another_order(frame: Frame, rng: np.random.Generator) -> Frame:
    return {"Fa": np.roll(frame["Fa"], 1, axis=0)}


def of_another_frame(frame: Frame, rng: np.random.Generator) -> Frame:
    same = [one for one in FRAMES if len(one["Za"]) == len(frame["Za"]) and one is not frame]
    return {"Fa": same[rng.integers(len(same))]["Fa"]}


def fixed(frame: Frame, rng: np.random.Generator) -> Frame:
    return {"Fa": np.where(np.arange(len(frame["Za"]))[:, None] < 2, 0.0, frame["Fa"])}


@pytest.mark.parametrize("change", [turned, in_another_order, of_another_frame, fixed])
@pytest.mark.parametrize("every", [1, 4])
def test_forces_that_are_not_those_of_the_positions(
    change: Callable[[Frame, np.random.Generator], Frame],
    every: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = np.random.default_rng(0)
    frames = [one | (change(one, rng) if number % every == 0 else {}) for number, one in enumerate(FRAMES)]
    code, said = report(config(), frames, tmp_path, capsys)
    assert code == 1
    found = re.search(r"\(Fa\) turns molecules as a whole, .* in (\d+) % of 90 frames", said)
    assert found, said
    assert float(found[1]) == pytest.approx(100 / every, abs=10)
    assert ("% of the atoms have no force at all" in said) == (change is fixed)
    assert "looks like forces" not in said


def test_right_forces_turn_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    # errors of a calculation, and minima, of whose forces nothing but errors are left
    noisy = [one | {"Fa": one["Fa"] + rng.normal(scale=1e-3, size=one["Fa"].shape)} for one in FRAMES]
    minima = [one | {"Fa": rng.normal(scale=1e-4, size=one["Fa"].shape)} for one in FRAMES]
    for frames in (FRAMES, noisy, minima):
        _, said = report(config(), frames, tmp_path, capsys)
        assert "turns molecules" not in said


def test_relative_torques() -> None:
    # a couple of forces at right angles to a rod, and along it; then none
    Ra = torch.tensor([[5.0, 0, 0], [7.0, 0, 0]] * 3).double()
    Fa = torch.tensor([[0, 1.0, 0], [0, -1.0, 0], [1.0, 0, 0], [-1.0, 0, 0], [0, 0, 0], [0, 0, 0]]).double()
    found = relative_torques(Ra, Fa, torch.tensor([0, 0, 1, 1, 2, 2]))
    # |r x F| is 2, and r² F² adds up to 2
    torch.testing.assert_close(found, torch.tensor([2 / (4 / 3) ** 0.5, 0, torch.nan]).double(), equal_nan=True)


def test_the_scale_is_that_of_forces_in_any_direction() -> None:
    torch.manual_seed(0)
    batch = torch.arange(20_000).repeat_interleave(5)
    Ra, Fa = (torch.randn(len(batch), 3, dtype=torch.float64) for _ in range(2))
    mean_square = relative_torques(Ra, Fa, batch).square().mean()
    assert mean_square == pytest.approx(1, rel=0.02)
