"""Images of atoms in periodic cells, against all images within a few cells."""

import itertools

import numpy as np
import pytest
from ase.build import bulk, molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_nnp.data.images import closest_image

Array = np.ndarray


def closest_by_all(Ra: Array, cell: Array, most: int = 10) -> float:
    """Return the shortest distance between an atom and an image, of those in a few cells around."""
    pbc = cell.any(axis=1)
    shifts = [s for s in itertools.product(*(range(-most, most + 1) if p else [0] for p in pbc)) if any(s)]
    vectors = Ra[None, :, None] - Ra[None, None, :] + (np.array(shifts) @ cell)[:, None, None]
    return float(np.linalg.norm(vectors, axis=-1).min())


@given(
    seed=st.integers(0, 2**31),
    num_atoms=st.integers(1, 6),
    spread=st.sampled_from([0.5, 3.0, 8.0]),
    periodic=st.lists(st.booleans(), min_size=3, max_size=3).filter(any),
)
@settings(max_examples=60, deadline=None)
def test_distances_are_those_of_all_images(seed: int, num_atoms: int, spread: float, periodic: list[bool]) -> None:
    rng = np.random.default_rng(seed)
    cell = (np.diag(rng.uniform(6, 20, 3)) + rng.uniform(-2, 2, (3, 3))) * np.array(periodic)[:, None]
    Ra = rng.normal(size=(num_atoms, 3)) * spread
    expected = closest_by_all(Ra, cell)
    if abs(expected - 5.0) < 1e-9:
        return
    found = closest_image(5.0, Ra, np.array([num_atoms]), cell[None])
    assert (found is not None) == (expected < 5.0)
    shortest_own = min(np.linalg.norm(v) for v in cell if v.any())
    if found and shortest_own >= 5.0:
        assert found[3] == pytest.approx(expected, abs=1e-9)


def test_the_frame_and_the_atoms_are_named() -> None:
    water, copper = molecule("H2O"), bulk("Cu", cubic=True) * (3, 3, 3)
    Ra = np.concatenate([water.positions, copper.positions])
    N, cells = np.array([3, len(copper)]), np.stack([np.eye(3) * 15, copper.cell.array])
    found = closest_image(5.0, Ra, N, cells)
    assert found is not None
    frame, i, j, distance = found
    assert frame == 1
    assert distance == pytest.approx(3.61 / 2**0.5)
    vector = copper.positions[j] - copper.positions[i]
    assert np.linalg.norm(vector) > distance  # the atom itself is farther away
    assert np.linalg.norm(vector - np.round(vector / 10.83) * 10.83) == pytest.approx(distance)


@pytest.mark.parametrize("cell", [np.ones((3, 3)), np.diag([10, 10, 1e-200]), np.diag([1e-6, 1e-6, 1e-6])])
def test_cells_without_room(cell: Array) -> None:
    found = closest_image(5.0, np.zeros((1, 3)), np.array([1]), cell[None])
    assert found is not None
    assert found[:2] == (0, 0)
    assert found[3] < 5.0
