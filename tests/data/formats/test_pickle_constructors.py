"""Arrays in pickles, right ones and forged ones."""

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from frame_files import Call, dump
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats.readers import columns_of
from pyg_nnp.data.formats.unpickling import load_pickle
from pyg_nnp.errors import DataError


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_arrays_come_out_of_pickles_as_they_went_in(protocol, data):
    dtype = data.draw(st.sampled_from(["?", "i1", "<u8", ">i4", "f2", ">f8", "g", "c8", "<U3", ">U2", "S4", "U0"]))
    shape = data.draw(st.lists(st.integers(0, 3), max_size=3).map(tuple))
    order = data.draw(st.sampled_from("CF"))
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype).copy(order)
    values = [array, array.T, array.reshape(-1)[:1], array.astype(array.dtype.newbyteorder("=")).dtype.type(0)]
    values.append(array.astype(object))
    with tempfile.TemporaryDirectory() as folder:
        path = dump(Path(folder) / "a.pkl", values, protocol)
        found, plain = load_pickle(path), pickle.loads(path.read_bytes())
    for value, expected, original in zip(found, plain, values, strict=True):
        assert_array_equal(value, original)
        assert np.shape(value) == np.shape(original)
        assert value.dtype == expected.dtype


class Forged:
    """An array with a state of choice."""

    def __init__(self, *states):
        self.states = states

    def __reduce__(self):
        first = (np.ndarray.__reduce__(np.ones(1))[0], (np.ndarray, (0,), b"b"))
        return (*first, self.states[0])


class ForgedDtype:
    def __init__(self, code, *state):
        self.code, self.state = code, state

    def __reduce__(self):
        return np.dtype, (self.code, False, True), self.state


RAW = b"A" * 8


@pytest.mark.parametrize(
    "content",
    [
        # a dtype of objects that says it has none: with numpy's own constructors the bytes become an address
        Forged((1, (1,), ForgedDtype("O", 3, "|", None, None, None, -1, -1, 0), False, RAW)),
        Forged((1, (1,), ForgedDtype("V8", 3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0), False, RAW)),
        # fewer objects than the shape says: the rest would be read from beyond the list
        Forged((1, (1000,), np.dtype("O"), False, [])),
        Forged((1, (-1, -1), np.dtype("O"), False, [1])),
        Forged((1, (1,), np.dtype("f8"), False, [1.0])),
        Forged((1, (100,), np.dtype("f8"), False, RAW)),
        Call(np.ndarray, (1,), np.dtype("O"), RAW),
        Call(np.dtype, [("a", "O")]),
        Call(np.dtype, "M8[s]"),
    ],
)
def test_forged_arrays_are_refused(tmp_path, content):
    path = dump(tmp_path / "a.pkl", [{"R": content}])
    with pytest.raises(DataError, match=r"the pickle has an array of|not a pickle, or it is damaged"):
        columns_of(path, "pickle")


def test_a_byte_order_is_nothing_else(tmp_path):
    dtype = ForgedDtype("f8", 3, "O,", None, None, None, 8, 8, 0)  # together 'O,f8', a record with an object
    path = dump(tmp_path / "a.pkl", [Forged((1, (1,), dtype, False, RAW * 2))])
    with pytest.raises(DataError, match=r"damaged .*a byte order 'O,'"):
        columns_of(path, "pickle")


def test_an_array_is_filled_once(tmp_path):
    once = pickle.dumps(np.ones(3), protocol=2)
    state = once[once.index(b"(K\x01") : -1]  # the state and BUILD
    assert state.endswith(b"b")
    (tmp_path / "a.pkl").write_bytes(once[:-1] + state + b".")
    with pytest.raises(DataError, match="filled twice"):
        columns_of(tmp_path / "a.pkl", "pickle")
