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
    frames = [Frame(3, "3", Za, R, {"Fa": 1.0}, np.array([0.1, 0.4, 0.2]))]
    found = scene(frames, 0.5, "eV/Å")
    assert found["largest"] == 0.4
    assert found["elements"][8]["symbol"] == "O"
    assert np.linalg.norm(np.subtract(*found["frames"][0]["R"][1:])) == pytest.approx(0.76, abs=2e-3)
    assert found["frames"][0]["corners"] == []


def test_a_cell_is_drawn_around_its_atoms() -> None:
    """Two atoms, of which one is outside; a wire, whose other vectors are 0."""
    cell = np.array([[4.0, 0, 0], [1.0, 5.0, 0], [0, 0.5, 6.0]])
    R = np.array([[0.2, 0.3, 0.4], [1.0, 1.0, 1.0]])
    moved = R + [[0, 0, 0], [2, -1, 3]] @ cell
    (frame,) = scene([Frame(0, "0", np.array([6, 1]), moved, {}, None, cell)], 0.5, "eV/Å")["frames"]
    corners, atoms = np.array(frame["corners"]), np.array(frame["R"])
    assert corners.shape == (8, 3)
    # numbered so that those that differ in one bit are joined
    for bit, vector in zip((4, 2, 1), cell, strict=True):
        for number in (n for n in range(8) if not n & bit):
            edge = np.linalg.norm(corners[number | bit] - corners[number])
            assert edge == pytest.approx(0.5 * np.linalg.norm(vector), abs=2e-3)
    expected = 0.5 * np.linalg.norm(R - 0, axis=1)
    np.testing.assert_allclose(np.linalg.norm(atoms - corners[0], axis=1), expected, atol=2e-3)
    wire = cell * [[1], [0], [0]]
    (frame,) = scene(
        [Frame(0, "0", np.array([6, 1]), R + np.array([[8.0, 0, 0], [0, 0, 0]]), {}, None, wire)], 1.0, "eV/Å"
    )["frames"]
    apart = np.linalg.norm(np.subtract(*frame["R"]))
    assert apart == pytest.approx(np.linalg.norm(R[1] - R[0]), abs=3e-3)
