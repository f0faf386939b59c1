import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyg_nnp.data.store.rows import StoredRows
from pyg_nnp.data.store.sealed import SealedFile, seal
from pyg_nnp.errors import DataError

FLOAT64, FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)


def stored(path: Path, values: np.ndarray, chunk: int, order: list[int], dtype: np.dtype = FLOAT64) -> StoredRows:
    """Write rows in chunks that lie in the file in any order, with something else before each."""
    offsets, content = [0] * len(order), b""
    for number in order:
        content += b"?" * 8
        offsets[number] = len(content)
        rows = values[number * chunk : (number + 1) * chunk]
        content += rows.tobytes() + bytes((chunk - len(rows)) * values[:1].nbytes)
    path.write_bytes(content)
    seal(path)
    return StoredRows(SealedFile(path), len(values), values.shape[1:], values.dtype, dtype, chunk, np.array(offsets))


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, int, list[int], list[tuple[int, int]]]:
    rows, chunk = draw(st.integers(1, 40)), draw(st.integers(1, 10))
    order = draw(st.permutations(range(-(-rows // chunk))))
    firsts = draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=8))
    return rows, chunk, order, [(first, draw(st.integers(1, rows - first))) for first in firsts]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=runs(), shape=st.sampled_from([(), (3,)]), dtype=st.sampled_from([FLOAT64, FLOAT32]))
def test_runs_are_what_slices_are(
    tmp_path: Path,
    case: tuple[int, int, list[int], list[tuple[int, int]]],
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> None:
    num_rows, chunk, order, asked = case
    values = np.random.default_rng(num_rows).normal(size=(num_rows, *shape))
    rows = stored(tmp_path / "file", values, chunk, order, dtype)
    firsts, counts = (torch.tensor(column) for column in zip(*asked, strict=True))
    expected = np.concatenate([values[first : first + count] for first, count in asked]).astype(dtype)
    np.testing.assert_array_equal(rows.read(firsts, counts).numpy(), expected, strict=True)
    np.testing.assert_array_equal(rows.read_all().numpy(), values.astype(dtype), strict=True)
    assert rows.nbytes == rows.read_all().numpy().nbytes


def test_file_that_ends_early_is_an_error_and_no_crash(tmp_path: Path) -> None:
    rows = stored(tmp_path / "file", np.arange(100.0), 10, list(range(10)))
    rows.file.verify()
    with (tmp_path / "file").open("r+b") as file:
        file.truncate(500)
    assert rows.read(torch.tensor([3]), torch.tensor([2])).tolist() == [3.0, 4.0]
    with pytest.raises(DataError, match=r"file: the processed data set was cut short while it was read\."):
        rows.read_all()


def test_another_file_in_its_place_is_not_read(tmp_path: Path) -> None:
    rows = stored(tmp_path / "file", np.arange(10.0), 10, [0])
    elsewhere = pickle.dumps(rows)
    stored(tmp_path / "new", np.arange(10.0, 20.0), 10, [0])
    (tmp_path / "new").replace(tmp_path / "file")
    # what is open stays what it was
    assert rows.read_all().tolist() == np.arange(10.0).tolist()
    with pytest.raises(DataError, match=r"file: the processed data set was changed after it was opened\."):
        pickle.loads(elsewhere).read_all()


def test_numbers_too_large_for_single_precision_are_infinite(tmp_path: Path) -> None:
    rows = stored(tmp_path / "file", np.array([1e300, -1e300, 1.0]), 10, [0], FLOAT32)
    assert rows.read_all().tolist() == [np.inf, -np.inf, 1.0]
