"""Each mistake is reported in a small data set, and the data set without it is not."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
from planted import plants, report
from small_set import FRAMES, config

PLANTS = plants({"Ra", "Za", "Q", "E", "Fa", "Qa", "M2"}, ions=True, hartree=1.0)


def test_right_data_are_not_called_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = report(config(), FRAMES, tmp_path, capsys)
    assert code == 0, said
    assert "Warnings: none" in said
    assert "WARNING: " not in said
    assert re.search(r"goes with Qa", said)


@pytest.mark.parametrize("mistake", list(PLANTS))
def test_planted_mistake_is_reported(mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = copy.deepcopy(FRAMES)
    expected = PLANTS[mistake](planted, np.random.default_rng(1))
    code, said = report(config(), planted, tmp_path, capsys)
    assert code == (2 if "ConfigError: " in said else 1), said
    assert re.search(expected, said), said
