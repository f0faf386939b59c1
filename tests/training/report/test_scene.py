import numpy as np
import pytest

from pyg_nnp.functional.bonds import bonds
from pyg_nnp.training.report.scene import facing, scene
from pyg_nnp.training.report.types import Frame


def test_scene_by_hand() -> None:
    Za, R = np.array([8, 1, 1]), np.array([[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]])
    assert sorted(map(sorted, bonds(R, Za).tolist())) == [[0, 1], [0, 2]]
    turned = facing(R)
    spread = np.ptp(turned, axis=0)
    assert spread[0] >= spread[1] >= spread[2]
    assert np.linalg.norm(turned[1] - turned[2]) == pytest.approx(1.52)
    for chiral in np.random.default_rng(1).normal(size=(20, 4, 3)):
        before, after = (np.linalg.det(rows[1:] - rows[0]) for rows in (chiral, facing(chiral)))
        assert after == pytest.approx(before)
    frames = [Frame(3, Za, R, {"Fa": 1.0}, np.array([0.1, 0.4, 0.2]))]
    found = scene(frames, 0.5, "eV/Å")
    assert found["largest"] == 0.4
    assert found["elements"][8]["symbol"] == "O"
    assert np.linalg.norm(np.subtract(*found["frames"][0]["R"][1:])) == pytest.approx(0.76, abs=2e-3)
