import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pyg_nnp.data.descriptors import shape_invariants


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
