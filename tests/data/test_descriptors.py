from itertools import product

import numpy as np
import pytest
import torch
from ase import Atoms
from crystals import some_crystals
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pyg_nnp.data.descriptors import describe_frames, elements_of, shape_invariants, unique_rows


@given(st.integers(0, 10**6), st.booleans())
def test_shape_does_not_change_by_motion_or_order_of_like_atoms(seed: int, mirrored: bool) -> None:
    rng = np.random.default_rng(seed)
    Za = rng.choice([1, 6, 8], 7)
    Ra = rng.normal(size=(7, 3))
    order = rng.permutation(7)
    moved = Rotation.random(rng=rng).apply(Ra * [1, 1, -1 if mirrored else 1]) + rng.normal(size=3)
    other = Ra + 0.01 * rng.normal(size=(7, 3))
    positions = np.concatenate((Ra, moved[order], other))
    shape = shape_invariants(positions, np.concatenate((Za, Za[order], Za)), np.repeat([0, 1, 2], 7), 3)
    np.testing.assert_allclose(shape[1], shape[0], atol=1e-12)
    assert abs(shape[2] - shape[0]).max() > 1e-5


@pytest.mark.parametrize(("largest", "columns"), [(3, 4), (9, 7), (10**9, 2), (10**9, 3), (0, 2)])
def test_different_rows_are_those_of_numpy(largest: int, columns: int) -> None:
    """With keys that are counted, sorted, and too large to be single numbers."""
    rows = np.random.default_rng(largest).integers(0, largest, (500, columns), endpoint=True)
    rows[100:200] = rows[:100]
    expected, which = np.unique(rows, axis=0, return_inverse=True)
    found = unique_rows(rows)
    np.testing.assert_array_equal(found[0], expected, strict=True)
    np.testing.assert_array_equal(found[1], which.reshape(-1), strict=True)


def closest(atoms: Atoms) -> dict[tuple[int, int], float]:
    """Return the shortest distance of each two elements over all images in the nearest cells."""
    found: dict[tuple[int, int], float] = {}
    # no cell is so oblique, and no atom so far outside, that these are not enough
    steps = [np.arange(-7, 8) if periodic else np.zeros(1) for periodic in atoms.pbc]
    shifts = np.array(list(product(*steps))) @ atoms.cell.array
    for i, first in enumerate(atoms):
        for j, second in enumerate(atoms):
            distances = np.linalg.norm(second.position - first.position + shifts, axis=1)
            key = min(first.number, second.number), max(first.number, second.number)
            if len(distances := distances[distances > 1e-6] if i == j else distances):
                found[key] = min(found.get(key, np.inf), float(distances.min()))
    return found


def test_shortest_distances_are_those_to_images() -> None:
    systems = some_crystals()
    piece = {
        "N": torch.tensor([len(atoms) for atoms in systems]),
        "Ra": torch.tensor(np.concatenate([atoms.positions for atoms in systems])),
        "Za": torch.tensor(np.concatenate([atoms.numbers for atoms in systems])),
        "Q": torch.zeros(len(systems), dtype=torch.float64),
        "cell": torch.tensor(np.stack([atoms.cell.array for atoms in systems])),
        "pbc": torch.tensor(np.stack([atoms.pbc for atoms in systems]).astype(int)),
    }
    found = describe_frames(piece)
    ends = np.cumsum(found["pair_counts"])
    for number, atoms in enumerate(systems):
        rows = slice(ends[number] - found["pair_counts"][number], ends[number])
        pairs = [elements_of(int(key)) for key in found["pair_keys"][rows]]
        of_frame = dict(zip(pairs, found["pair_distances"][rows].tolist(), strict=True))
        expected = closest(atoms)
        assert of_frame.keys() <= expected.keys()
        # what is farther than the farthest without images is left out
        assert set(expected) - set(of_frame) <= {(Z, Z) for Z in atoms.numbers.tolist()}
        for pair, distance in of_frame.items():
            np.testing.assert_allclose(distance, expected[pair], rtol=1e-12)
