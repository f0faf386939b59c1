"""ASE databases in LMDB files."""

import json
import pickle
import random
import zlib
from pathlib import Path

import lmdb
import numpy as np
import pytest
from ase import Atoms
from ase.db.row import atoms2dict
from ase.io.jsonio import encode
from frame_files import NAMES, lmdb_row, make_frames, read, save_lmdb, write_aselmdb
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats.lmdb_pages import value_places
from pyg_nnp.data.formats.readers import columns_of, format_of, read_blocks
from pyg_nnp.errors import DataError

TWO = {"Ra": "positions", "Za": "numbers"}


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9000), min_size=0, max_size=60),
    deleted=st.sets(st.integers(0, 59)),
    seed=st.integers(0, 2**31),
)
def test_places_are_those_of_the_library(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], deleted: set[int], seed: int
) -> None:
    """Values within pages and on pages of their own, trees of any depth, and keys that were deleted or replaced."""
    path = tmp_path_factory.mktemp("lmdb") / "a"
    rng = np.random.default_rng(seed)
    expected = {f"{'key' * (i % 30)}{i}".encode(): rng.bytes(size) for i, size in enumerate(sizes)}
    with lmdb.open(str(path), subdir=False, map_size=1 << 28) as environment:
        with environment.begin(write=True) as transaction:
            for key, value in expected.items():
                transaction.put(key, value[::-1] + b"before")
        with environment.begin(write=True) as transaction:
            for i, key in enumerate([*expected]):
                if i in deleted:
                    transaction.delete(key)
                    del expected[key]
                else:
                    transaction.put(key, expected[key])
    with path.open("rb") as file:
        content = path.read_bytes()
        found = {key: content[offset : offset + size] for key, offset, size in value_places(file)}
    assert found == expected
    assert list(found) == sorted(expected)


def test_rows_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    rows = [lmdb_row(frame) | {"energy": i} for i, frame in enumerate(make_frames([2] * 25))]
    path = save_lmdb(tmp_path / "a.aselmdb", rows)
    assert_array_equal(read(path, "aselmdb", TWO | {"E": "energy"}, 4)["E"], range(25))
    with lmdb.open(str(path), subdir=False, map_size=1 << 30) as environment, environment.begin(write=True) as rows_of:
        rows_of.delete(b"3")
        rows_of.delete(b"11")
    expected = [i for i in range(25) if i not in (2, 10)]
    assert_array_equal(read(path, "aselmdb", TWO | {"E": "energy"}, 4)["E"], expected)


def test_what_is_in_a_row(tmp_path: Path) -> None:
    """Charge and spin in ``data``, as in OMol25; key-value pairs; arrays as ASE encodes them."""
    row = lmdb_row(make_frames([3])[0]) | {"key_value_pairs": {"e_ref": -2.5}, "data": {"charge": -1, "spin": 2}}
    path = save_lmdb(tmp_path / "a.aselmdb", [row])
    mapping = TWO | {"E": "e_ref", "Q": "charge", "Fa": "forces"}
    found = read(path, "aselmdb", mapping)
    assert_array_equal(found["E"], [-2.5])
    assert_array_equal(found["Q"], [-1])
    assert_array_equal(found["Fa"], row["forces"])
    assert format_of(path) == "aselmdb"
    assert {"spin", "charge", "e_ref", "energy"} <= set(columns_of(path))

    atoms = Atoms("CO", [[0, 0, 0], [0, 0, 1.1]])
    encoded = {"1": zlib.compress(encode(atoms2dict(atoms) | {"energy": np.float64(-1)}).encode())}
    path = save_lmdb(tmp_path / "b.aselmdb", [{}], encoded)
    found = read(path, "aselmdb", TWO | {"E": "energy"})
    assert_array_equal(found["Ra"], atoms.positions)
    assert_array_equal(found["Za"], [6, 8])


def test_periodic_rows_are_refused(tmp_path: Path) -> None:
    rows = [lmdb_row(frame) for frame in make_frames([2, 2, 2])]
    rows[2] |= {"pbc": [True, True, False], "cell": np.eye(3).tolist()}
    with pytest.raises(DataError, match="frame 2: the cell is periodic, but a potential here knows molecules alone"):
        read(save_lmdb(tmp_path / "a.aselmdb", rows), "aselmdb", TWO)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pickle.dumps({"pos": [1]}), "frame 0: this is a pickled object, as older databases of Open Catalyst have"),
        (zlib.compress(b"{}"), "frame 0: the row of the database is damaged"),
        (zlib.compress(b"[1"), "frame 0: the row of the database is damaged"),
        (zlib.compress(json.dumps({"numbers": [1]}).encode())[:-5], "frame 0: .* is damaged .*it is cut short"),
        (zlib.compress(b" " * 10_000_000), "frame 0: .* is damaged .*packed too well"),
        (b"", "frame 0: the row of the database is damaged"),
    ],
)
def test_values_that_are_no_rows(tmp_path: Path, value: bytes, message: str) -> None:
    path = save_lmdb(tmp_path / "a.aselmdb", [{}], {"1": value})
    with pytest.raises(DataError, match=f"^{path}: {message}"):
        read(path, "aselmdb", TWO)


def test_databases_without_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no frames in this file"):
        read(save_lmdb(tmp_path / "a.aselmdb", []), "aselmdb", TWO)


def test_damage_of_any_kind_is_a_message(tmp_path: Path) -> None:
    """LMDB's own library ends the process for most of these."""
    path, _ = write_aselmdb(tmp_path, make_frames([4] * 60))
    content, choose = path.read_bytes(), random.Random(0)
    num_refused = 0
    for case in range(150):
        damaged = bytearray(content)
        if case % 3 == 0:
            damaged = damaged[: choose.randrange(20, len(content))]
        elif case % 3 == 1:
            for _ in range(20):
                damaged[choose.randrange(20, len(content))] ^= 1 << choose.randrange(8)
        else:
            at = max(20, choose.randrange(len(content) // 4096) * 4096)
            damaged[at : at + 40] = choose.randbytes(40)
        path.write_bytes(damaged)
        try:
            num_frames = sum(block.num_frames for block in read_blocks(path, "aselmdb", NAMES))
        except DataError:
            num_refused += 1
        else:
            assert num_frames == 60
    assert num_refused > 75
