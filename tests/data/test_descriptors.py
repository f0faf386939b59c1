import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pyg_nnp.data.descriptors import shape_invariants, unique_rows


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
