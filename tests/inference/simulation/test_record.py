"""Results that were damaged."""

from pathlib import Path

import pytest
from simulations import DYNAMICS, simulate


def test_damaged_results_do_not_go_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(dynamics=DYNAMICS | {"steps": 10}) == 0
    trajectory = Path("out/trajectory.xyz")
    whole = trajectory.read_bytes()
    trajectory.write_bytes(whole[:-9])
    assert simulate("out", "--resume", dynamics=DYNAMICS) == 2
    assert "trajectory.xyz: it is shorter than it was" in capsys.readouterr().err
    trajectory.write_bytes(whole)
    Path("out/restart.json").write_text("{}")
    assert simulate("out", "--resume", dynamics=DYNAMICS) == 2
    assert "restart.json: it is damaged" in capsys.readouterr().err
    assert trajectory.read_bytes() == whole
