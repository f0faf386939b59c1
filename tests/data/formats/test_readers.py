import builtins
import gzip
import os
import pickle
import re
import sqlite3
import struct
import tempfile
import tracemalloc
import zipfile
from collections import OrderedDict, defaultdict
from io import BytesIO
from itertools import groupby
from pathlib import Path

import ase.db
import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.data import chemical_symbols
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats import hdf5_groups
from pyg_nnp.data.formats.columns import Table
from pyg_nnp.data.formats.contents import columns_of
from pyg_nnp.data.formats.pickles import load_pickle
from pyg_nnp.data.formats.readers import FORMATS, file_names, read_blocks
from pyg_nnp.errors import DataError

DATA = Path(__file__).resolve().parents[3] / "../shared/data"

# field -> name in the files written here
NAMES = {
    "Ra": "positions",
    "Za": "numbers",
    "E": "energy",
    "Fa": "forces",
    "Qa": "charges",
    "M2": "dipole",
    "Q": "total_charge",
}
GRAPH = ("E", "M2", "Q")


def make_frames(sizes, seed=0):
    """Frames of the given sizes, numbers with 8 decimals (as extxyz has them), as float64 and int64."""
    rng = np.random.default_rng(seed)
    return [
        {
            "positions": rng.normal(size=(n, 3)).round(8),
            "numbers": rng.integers(1, 119, n),
            "energy": round(float(rng.normal()), 8),
            "forces": rng.normal(size=(n, 3)).round(8),
            "charges": rng.normal(size=n).round(8),
            "dipole": rng.normal(size=3).round(8),
            "total_charge": int(rng.integers(-3, 4)),
        }
        for n in sizes
    ]


def expected_arrays(frames, names=NAMES):
    out = {"N": np.array([len(f["numbers"]) for f in frames])}
    for name, source in names.items():
        join = np.stack if name in GRAPH else np.concatenate
        out[name] = join([np.asarray(f[source]) for f in frames])
    return out


def read(path, data_format, mapping, frames_per_block=1024):
    blocks = list(read_blocks(path, data_format, mapping, frames_per_block))
    first = 0
    for block in blocks:
        assert block.first == first
        assert 1 <= block.num_frames <= frames_per_block
        assert block.arrays["N"].dtype == block.arrays["Za"].dtype == np.int64
        assert len(block.arrays["Za"]) == block.arrays["N"].sum()
        assert all(type(rows) is np.ndarray for rows in block.arrays.values())
        first += block.num_frames
    return {name: np.concatenate([b.arrays[name] for b in blocks]) for name in blocks[0].arrays}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, rows in expected.items():
        assert_array_equal(found[name], rows, err_msg=name, strict=False)
        assert found[name].shape == rows.shape, name


def dump(path, content, protocol=None):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def save_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def save_hdf5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def padded(frames):
    most = max(len(f["numbers"]) for f in frames)
    columns = {}
    for source in NAMES.values():
        values = [np.asarray(f[source]) for f in frames]
        if source in ("energy", "dipole", "total_charge"):
            columns[source] = np.stack(values)
        else:
            columns[source] = np.stack(
                [np.concatenate([v, np.zeros((most - len(v), *v.shape[1:]), v.dtype)]) for v in values]
            )
    return columns


def to_atoms(frame):
    atoms = Atoms(frame["numbers"], frame["positions"], info={"total_charge": frame["total_charge"]})
    results = {key: frame[key] for key in ("energy", "forces", "charges", "dipole")}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


# ------------------------------------------------------------------ every format gives back what was written


def write_pickle_list(folder, frames):
    return dump(folder / "a.pkl", frames), "pickle"


def write_pickle_ragged_lists(folder, frames):
    return dump(folder / "a.pkl", {s: [f[s] for f in frames] for s in NAMES.values()}), "pickle"


def write_pickle_object_arrays(folder, frames):
    columns = {}
    for source in NAMES.values():
        columns[source] = np.empty(len(frames), dtype=object)
        columns[source][:] = [f[source] for f in frames] if source != "dipole" else [None] * len(frames)
    for i, frame in enumerate(frames):
        columns["dipole"][i] = frame["dipole"]
    return dump(folder / "a.pkl", columns), "pickle"


def write_pickle_plain_lists(folder, frames):
    columns = {s: [np.asarray(f[s]).tolist() for f in frames] for s in NAMES.values()}
    return dump(folder / "a.pkl", columns), "pickle"


def write_pickle_padded(folder, frames):
    return dump(folder / "a.pkl", padded(frames)), "pickle"


def write_npz_padded(folder, frames):
    return save_npz(folder / "a.npz", **padded(frames)), "npz"


def write_hdf5_padded(folder, frames):
    return save_hdf5(folder / "a.h5", **padded(frames)), "hdf5"


def write_hdf5_grouped(folder, frames):
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        runs = groupby(frames, key=lambda f: len(f["numbers"]))
        for i, (_, run) in enumerate(runs):
            group = file.create_group(f"part{i // 2:03d}/size{i:03d}")
            for source, values in padded(list(run)).items():
                group[source] = values
    return path, "hdf5"


def write_extxyz(folder, frames):
    ase.io.write(folder / "a.extxyz", [to_atoms(f) for f in frames], format="extxyz")
    return folder / "a.extxyz", "extxyz"


def write_ase(folder, frames):
    with ase.db.connect(folder / "a.db") as database:
        for frame in frames:
            database.write(to_atoms(frame), total_charge=frame["total_charge"])
    return folder / "a.db", "ase"


WRITERS = [
    write_pickle_list,
    write_pickle_ragged_lists,
    write_pickle_object_arrays,
    write_pickle_plain_lists,
    write_pickle_padded,
    write_npz_padded,
    write_hdf5_padded,
    write_hdf5_grouped,
    write_extxyz,
    write_ase,
]


@pytest.mark.parametrize("write", [write for write in WRITERS if write is not write_ase])  # slow to write
@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=9),
    seed=st.integers(0, 2**31),
    frames_per_block=st.integers(1, 11),
)
def test_reads_back_what_was_written(write, sizes, seed, frames_per_block):
    frames = make_frames(sizes, seed)
    with tempfile.TemporaryDirectory() as folder:
        path, data_format = write(Path(folder), frames)
        assert_same(read(path, data_format, NAMES, frames_per_block), expected_arrays(frames))
        assert set(NAMES.values()) <= set(file_names(path, data_format))


def test_reads_back_what_was_written_to_a_database(tmp_path):
    frames = make_frames([3, 1, 4, 2])
    path, data_format = write_ase(tmp_path, frames)
    for frames_per_block in (1, 3, 9):
        assert_same(read(path, data_format, NAMES, frames_per_block), expected_arrays(frames))
    assert set(NAMES.values()) <= set(file_names(path, data_format))


@pytest.mark.parametrize("save", [save_npz, save_hdf5, lambda path, **columns: dump(path, columns)])
@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=9), frames_per_block=st.integers(1, 11))
def test_reads_concatenated_rows(save, sizes, frames_per_block):
    expected = expected_arrays(make_frames(sizes))
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder) / "a.npz", **expected)
        data_format = {save_npz: "npz", save_hdf5: "hdf5"}.get(save, "pickle")
        assert_same(read(path, data_format, {name: name for name in expected}, frames_per_block), expected)


def test_formats_are_those_of_the_configuration():
    assert list(FORMATS) == ["pickle", "npz", "hdf5", "extxyz", "ase"]


# ------------------------------------------------------------------ real data


def shared_file(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is missing")
    return path


def test_md17_has_one_z_for_all_frames():
    path = shared_file("md17_ethanol.npz")
    found = read(path, "npz", {"Ra": "R", "Za": "z", "E": "E", "Fa": "F"}, 300)
    with np.load(path) as file:
        assert_array_equal(found["Ra"].reshape(2000, 9, 3), file["R"])
        assert_array_equal(found["Fa"].reshape(2000, 9, 3), file["F"])
        assert_array_equal(found["E"], file["E"][:, 0])
        assert_array_equal(found["Za"].reshape(2000, 9), [file["z"]] * 2000)
    assert (found["N"] == 9).all()


@pytest.mark.parametrize("counted", [True, False])
def test_qm9_is_padded(counted):
    path = shared_file("qm9_1000.npz")
    mapping = {"Ra": "R", "Za": "Z", "E": "U0", "Qa": "Q_mulliken"} | ({} if counted else {"N": "N"})
    found = read(path, "npz", mapping, 100)
    with np.load(path) as file:
        assert_array_equal(found["N"], file["N"])
        first = 0
        for i, n in enumerate(file["N"][:50]):
            assert_array_equal(found["Ra"][first : first + n], file["R"][i, :n])
            assert_array_equal(found["Qa"][first : first + n], file["Q_mulliken"][i, :n])
            first += n
        assert len(found["Ra"]) == file["N"].sum()


def test_charged_molecules_have_a_group_per_size():
    path = shared_file("charged_molecules.h5")
    mapping = {"Ra": "coord", "Za": "numbers", "Q": "charge", "E": "energy", "Qa": "charges", "M2": "dipole"}
    found = read(path, "hdf5", mapping, 50)
    with h5py.File(path) as file:
        groups = [file[name] for name in sorted(file)]
        assert_array_equal(found["N"], np.concatenate([[int(g.name[1:])] * len(g["coord"]) for g in groups]))
        assert_array_equal(found["Ra"], np.concatenate([g["coord"][:].reshape(-1, 3) for g in groups]))
        assert_array_equal(found["Q"], np.concatenate([g["charge"][:] for g in groups]))
        assert_array_equal(found["M2"], np.concatenate([g["dipole"][:] for g in groups]))
    assert len(list(read_blocks(path, "hdf5", mapping, 1000))) == 1  # small groups are joined
    assert "mult" in file_names(path, "hdf5")


# ------------------------------------------------------------------ shapes

R2 = np.arange(12.0).reshape(2, 2, 3)  # two frames of two atoms
TWO = {"Ra": "R", "Za": "z"}


@pytest.mark.parametrize("save", ["npz", "hdf5", "pickle"])
@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 1, 1)])
def test_numbers_of_a_frame_in_any_shape(tmp_path, save, shape):
    columns = {"R": R2, "z": np.ones((2, 2), int), "E": np.array([1.5, 2.5]).reshape(shape)}
    path = {"npz": save_npz, "hdf5": save_hdf5, "pickle": lambda p, **c: dump(p, c)}[save](
        tmp_path / "a.npz", **columns
    )
    found = read(path, save, TWO | {"E": "E"})
    assert_array_equal(found["E"], [1.5, 2.5])
    assert found["E"].shape == (2,)


@pytest.mark.parametrize("shape", [(2, 3), (2, 1, 3), (2, 3, 1)])
def test_vectors_of_a_frame_in_any_shape(tmp_path, shape):
    path = save_npz(tmp_path / "a.npz", R=R2, z=np.ones((2, 2)), D=np.arange(6.0).reshape(shape))
    assert_array_equal(read(path, "npz", TWO | {"M2": "D"})["M2"], [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("value", [1.5, np.float32(1.5), np.array(1.5), [1.5], np.array([[1.5]])])
@pytest.mark.parametrize("vector", [[1, 2, 3], np.array([[1, 2, 3]]), np.array([[1], [2], [3]])])
def test_frames_of_a_list_in_any_shape(tmp_path, value, vector):
    frame = {"R": R2[0], "z": [6, 1], "E": value, "D": vector, "q": np.ones((2, 1))}
    path = dump(tmp_path / "a.pkl", [frame, frame])
    found = read(path, "pickle", TWO | {"E": "E", "M2": "D", "Qa": "q"})
    assert_array_equal(found["E"], [1.5, 1.5])
    assert_array_equal(found["M2"], [[1, 2, 3]] * 2)
    assert_array_equal(found["Qa"], [1, 1, 1, 1])


@pytest.mark.parametrize("data_format", ["npz", "hdf5", "pickle"])
@pytest.mark.parametrize("Q", [-1, [-1], [[-1], [-1]]])
@pytest.mark.parametrize("N", [None, 2, [2], [[2], [2]]])
@pytest.mark.parametrize("z", [[6, 1], [[6, 1]], [[6, 1], [6, 1]], ["C", "H"], [b"C", b"H"], [6.0, 1.0]])
def test_one_value_for_all_frames(tmp_path, data_format, Q, N, z):
    columns = {"R": R2, "z": z, "Q": Q} | ({} if N is None else {"N": N})
    if data_format == "pickle":
        path = dump(tmp_path / "a.pkl", columns)
    else:
        arrays = {name: np.asarray(values) for name, values in columns.items()}
        if data_format == "hdf5" and arrays["z"].dtype.kind == "U":
            arrays["z"] = arrays["z"].astype(h5py.string_dtype())
        path = (save_npz if data_format == "npz" else save_hdf5)(tmp_path / "a.npz", **arrays)
    found = read(path, data_format, TWO | {"Q": "Q"} | ({} if N is None else {"N": "N"}), 1)
    assert_array_equal(found["Q"], [-1, -1])
    assert_array_equal(found["Za"], [6, 1, 6, 1])
    assert_array_equal(found["N"], [2, 2])


def test_one_label_for_all_frames_is_refused(tmp_path):
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1], E=[1.0], F=R2[0])
    with pytest.raises(DataError, match=r"'E' \(E\) has 1 frames, but 'R' \(Ra\) has 2"):
        read(path, "npz", TWO | {"E": "E"})
    with pytest.raises(DataError, match=r"'F' \(Fa\) has shape \(2, 3\), expected \(2, atoms, 3\)"):
        read(path, "npz", TWO | {"Fa": "F"})


@pytest.mark.parametrize("with_axis", [True, False])
@pytest.mark.parametrize("data_format", ["npz", "hdf5", "pickle"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_files_of_one_frame(tmp_path, data_format, with_axis, n):
    frame = make_frames([n])[0]
    columns = {
        source: np.asarray(values)[None] if with_axis else np.asarray(values) for source, values in frame.items()
    }
    save = {"npz": save_npz, "hdf5": save_hdf5, "pickle": lambda p, **c: dump(p, c)}[data_format]
    path = save(tmp_path / "a.npz", **columns)
    assert_same(read(path, data_format, NAMES), expected_arrays([frame]))


@pytest.mark.parametrize("write", WRITERS)
def test_lone_atoms(tmp_path, write):
    frames = make_frames([1, 1, 1])
    path, data_format = write(tmp_path, frames)
    assert_same(read(path, data_format, NAMES, 2), expected_arrays(frames))


def test_frames_padded_alike_in_a_list(tmp_path):
    columns = padded(make_frames([2, 3]))
    frames = [{source: columns[source][i] for source in columns} for i in range(2)]
    path = dump(tmp_path / "a.pkl", frames)
    assert_same(read(path, "pickle", NAMES), expected_arrays(make_frames([2, 3])))


def test_padding_may_be_nan_but_not_in_za(tmp_path):
    R = np.concatenate([R2, np.full((2, 1, 3), np.nan)], axis=1)
    path = save_npz(tmp_path / "a.npz", R=R, z=[[6, 1, 0], [6, 1, 0]], s=[["C", "H", ""]] * 2)
    assert_array_equal(read(path, "npz", TWO)["Ra"], R2.reshape(-1, 3))
    assert_array_equal(read(path, "npz", {"Ra": "R", "Za": "s"})["Za"], [6, 1, 6, 1])


def test_shared_symbols_of_concatenated_frames(tmp_path):
    path = save_npz(tmp_path / "a.npz", R=R2.reshape(-1, 3), z=["O", "H"], N=[2, 2])
    assert_array_equal(read(path, "npz", TWO | {"N": "N"}, 1)["Za"], [8, 1, 8, 1])


# ------------------------------------------------------------------ types


def test_values_are_not_truncated_to_the_type_of_the_first_frame(tmp_path):
    frames = [{"R": np.zeros((1, 3), int), "z": np.array([6], np.uint8), "E": -1, "Q": np.int8(1)} for _ in range(2)]
    frames[1] |= {"R": np.full((1, 3), 0.25), "z": np.array([118]), "E": -1.5, "Q": 300}
    for name, content in {"list": frames, "dict": {key: [f[key] for f in frames] for key in frames[0]}}.items():
        found = read(dump(tmp_path / name, content), "pickle", TWO | {"E": "E", "Q": "Q"})
        assert_array_equal(found["E"], [-1.0, -1.5])
        assert_array_equal(found["Ra"], [[0, 0, 0], [0.25, 0.25, 0.25]])
        assert_array_equal(found["Za"], [6, 118])
        assert_array_equal(found["Q"], [1.0, 300.0])


@pytest.mark.parametrize("dtype", ["i1", "u2", ">i4", "f2", "<f4", ">f4", ">f8", "g"])
@pytest.mark.parametrize("data_format", ["npz", "hdf5", "pickle"])
def test_fields_of_floats_are_at_least_float64(tmp_path, dtype, data_format):
    columns = {"R": R2.astype(dtype), "z": np.array([6, 1], "u1"), "E": np.array([3, 4], dtype)}
    save = {"npz": save_npz, "hdf5": save_hdf5, "pickle": lambda p, **c: dump(p, c)}[data_format]
    found = read(save(tmp_path / "a.npz", **columns), data_format, TWO | {"E": "E"})
    for name in ("Ra", "E"):
        assert found[name].dtype == np.result_type(np.dtype(dtype), np.float64)
        assert found[name].dtype.isnative
    assert_array_equal(found["E"], [3, 4])
    assert_array_equal(found["Ra"], R2.reshape(-1, 3))


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (np.array([1j, 2]), "complex numbers"),
        (np.array(["1", "2"]), "text"),
        (np.array([b"1", b"2"]), "text"),
        (np.array([True, False]), "true or false"),
        (np.array([(1.0,), (2.0,)], dtype=[("a", "f8")]), "records"),
    ],
)
def test_other_things_than_numbers_are_refused(tmp_path, values, what):
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1], E=values)
    with pytest.raises(DataError, match=rf"'E' \(E\) holds {what} where numbers are expected"):
        read(path, "npz", TWO | {"E": "E"})
    if values.dtype.kind != "V":
        path = dump(tmp_path / "a.pkl", [{"R": R2[0], "z": [6, 1], "E": E} for E in [0.5, values[1]]])
        with pytest.raises(DataError, match=rf"frame 1: 'E' \(E\) holds {what} where"):
            read(path, "pickle", TWO | {"E": "E"})


@pytest.mark.parametrize("bad", [6.5, float("nan"), float("inf"), 1e300])
@pytest.mark.parametrize(("name", "source", "at"), [("Za", "z", (1, 0)), ("Za", "z", (1, 1)), ("N", "N", 1)])
def test_numbers_that_must_be_whole(tmp_path, bad, name, source, at):
    columns = {"R": R2, "z": np.array([[6.0, 1.0]] * 2), "N": np.array([2.0, 2.0])}
    columns[source][at] = bad
    path = save_npz(tmp_path / "a.npz", **columns)
    for frames_per_block in (1, 2):
        with pytest.raises(DataError, match=rf"frame 1: '{source}' \({name}\) is .*, which is not a whole number"):
            read(path, "npz", TWO | {"N": "N"}, frames_per_block)


# ------------------------------------------------------------------ symbols


@pytest.mark.parametrize("symbols", [["Cl", "H"], [b"Cl", b"H "], np.array(["Cl", "H"]), ("Cl", "H")])
def test_symbols_in_a_list_of_frames(tmp_path, symbols):
    frames = [{"R": R2[0], "z": symbols}, {"R": R2[1], "z": [8, 1]}]
    assert_array_equal(read(dump(tmp_path / "a.pkl", frames), "pickle", TWO)["Za"], [17, 1, 8, 1])


@pytest.mark.parametrize("z", [[6, 1], ["C", "H"], [b"C", b"H"]])
def test_arrays_of_objects_in_a_frame(tmp_path, z):
    frame = {"R": R2[0].astype(object), "z": np.array(z, dtype=object), "E": np.array(1.5, dtype=object)}
    found = read(dump(tmp_path / "a.pkl", [frame]), "pickle", TWO | {"E": "E"})
    assert_array_equal(found["Ra"], R2[0])
    assert_array_equal(found["Za"], [6, 1])
    assert_array_equal(found["E"], [1.5])


def test_ragged_symbols(tmp_path):
    columns = {"R": [R2[0], R2[0, :1]], "z": [["C", "H"], ["He"]]}
    assert_array_equal(read(dump(tmp_path / "a.pkl", columns), "pickle", TWO)["Za"], [6, 1, 2])


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("Xx", r"frame 1: 'z' \(Za\) has 'Xx', which is no element\."),
        ("cl", r"frame 1: 'z' \(Za\) has 'cl', which is no element\. Did you mean 'Cl'\?"),
        ("CH4", r"frame 1: 'z' \(Za\) has 'CH4', which is no element"),
        ("6", r"frame 1: 'z' \(Za\) has '6', which is no element"),
        ("X", r"frame 1: 'z' \(Za\) has 'X', which is no element"),
        (b"\xff", r"frame 1: 'z' \(Za\) has '.', which is no element"),
    ],
)
def test_unknown_symbols(tmp_path, symbol, message):
    other = "H" if isinstance(symbol, str) else b"H"
    symbols = [[other, other], [other, symbol]]
    mapping = TWO
    with pytest.raises(DataError, match=message):
        read(save_npz(tmp_path / "a.npz", R=R2, z=symbols), "npz", mapping)
    with pytest.raises(DataError, match=message):
        read(save_hdf5(tmp_path / "a.h5", R=R2, z=np.array(symbols).astype("S")), "hdf5", mapping, 1)
    frames = [{"R": R, "z": z} for R, z in zip(R2, symbols, strict=True)]
    with pytest.raises(DataError, match=message):
        read(dump(tmp_path / "a.pkl", frames), "pickle", mapping)


# ------------------------------------------------------------------ frames that do not fit together


def broken_frames(**change):
    frames = make_frames([22] * 20)
    frames[17] |= change
    return frames


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forces": np.ones((21, 3))}, r"frame 17: 'forces' \(Fa\) has shape \(21, 3\), but the frame has 22 atoms\."),
        ({"forces": np.zeros((23, 3))}, r"frame 17: 'forces' \(Fa\) has shape \(23, 3\), but the frame has 22 atoms\."),
        ({"forces": np.ones((22, 2))}, r"frame 17: 'forces' \(Fa\) has shape \(22, 2\), expected \(atoms, 3\)\."),
        ({"forces": np.ones(66)}, r"frame 17: 'forces' \(Fa\) has shape \(66,\), expected \(atoms, 3\)\."),
        (
            {"positions": np.ones((21, 3))},
            r"frame 17: 'positions' \(Ra\) has shape \(21, 3\), but the frame has 22 atoms",
        ),
        ({"charges": np.ones((22, 2))}, r"frame 17: 'charges' \(Qa\) has shape \(22, 2\), expected \(atoms,\)\."),
        ({"numbers": np.ones((22, 2))}, r"frame 17: 'numbers' \(Za\) has shape \(22, 2\), expected \(atoms,\)\."),
        ({"numbers": 6}, r"frame 17: 'numbers' \(Za\) has shape \(\), expected \(atoms,\)\."),
        ({"numbers": []}, r"frame 17: there are no atoms"),
        ({"numbers": [0] * 22}, r"frame 17: there are no atoms"),
        ({"numbers": [1, 0] * 11}, r"frame 17: 'numbers' \(Za\) has a 0 before the last atom"),
        ({"energy": None}, r"frame 17: 'energy' \(E\) is None; every frame needs a value"),
        ({"forces": None}, r"frame 17: 'forces' \(Fa\) is None"),
        ({"energy": [1.0, 2.0]}, r"frame 17: 'energy' \(E\) has shape \(2,\), expected \(\)\."),
        ({"dipole": [1.0, 2.0]}, r"frame 17: 'dipole' \(M2\) has shape \(2,\), expected \(3,\)\."),
        ({"dipole": [1.0, None, 2.0]}, r"frame 17: 'dipole' \(M2\) holds objects where numbers are expected"),
        ({"forces": [[1.0, 2.0], [3.0]]}, r"frame 17: 'forces' \(Fa\) has rows of different lengths"),
        ({"energy": {"value": 1}}, r"frame 17: 'energy' \(E\) holds objects where numbers are expected"),
    ],
)
@pytest.mark.parametrize("frames_per_block", [1, 5, 100])
def test_a_broken_frame_is_named(tmp_path, change, message, frames_per_block):
    frames = broken_frames(**change)
    path = dump(tmp_path / "dataset.pkl", frames)
    with pytest.raises(DataError, match=rf"^{path}: {message}"):
        read(path, "pickle", NAMES, frames_per_block)
    path = dump(tmp_path / "dataset.pkl", {source: [f[source] for f in frames] for source in NAMES.values()})
    with pytest.raises(DataError, match=rf"^{path}: {message}"):
        read(path, "pickle", NAMES, frames_per_block)


@pytest.mark.parametrize("frames_per_block", [1, 18, 100])
def test_a_key_missing_in_one_frame(tmp_path, frames_per_block):
    frames = make_frames([2] * 20)
    frames[17]["force"] = frames[17].pop("forces")
    path = dump(tmp_path / "a.pkl", frames)
    message = r"a.pkl: frame 17: there is no 'forces' \(Fa\)\. Did you mean 'force'\? It has: positions, numbers"
    with pytest.raises(DataError, match=message):
        read(path, "pickle", NAMES, frames_per_block)


def test_a_label_missing_in_the_first_frame_only(tmp_path):
    frames = make_frames([2] * 3)
    del frames[0]["energy"]
    with pytest.raises(DataError, match=r"a.pkl: frame 0: there is no 'energy' \(E\)"):
        read(dump(tmp_path / "a.pkl", frames), "pickle", NAMES)


@pytest.mark.parametrize("write", WRITERS)
def test_a_name_that_the_file_lacks(tmp_path, write):
    path, data_format = write(tmp_path, make_frames([2, 3]))
    where = r"group 'part000/size000': " if write is write_hdf5_grouped else ""
    with pytest.raises(
        DataError, match=rf"^{path}: {where}there is no 'energies' \(E\)\. Did you mean 'energy'\?"
    ) as info:
        read(path, data_format, NAMES | {"E": "energies"})
    assert "It has: " in str(info.value)
    assert all(name in str(info.value).split("It has: ")[1] for name in NAMES.values())


def test_a_long_list_of_names_is_cut(tmp_path):
    path = save_npz(tmp_path / "a.npz", **{f"array{i}": np.ones(1) for i in range(50)})
    with pytest.raises(DataError, match=r"array19 and 30 more\.$"):
        read(path, "npz", TWO)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"E": np.ones(3)}, r"'E' \(E\) has 3 frames, but 'R' \(Ra\) has 2\."),
        ({"F": np.ones((3, 2, 3))}, r"'F' \(Fa\) has 3 frames, but 'R' \(Ra\) has 2\."),
        ({"z": np.ones((3, 2))}, r"'z' \(Za\) has 3 frames, but 'R' \(Ra\) has 2\."),
        ({"F": np.ones((2, 2, 2))}, r"'F' \(Fa\) has shape \(2, 2, 2\), expected \(2, atoms, 3\)\."),
        ({"F": np.ones((2, 1, 3))}, r"frame 0: 'F' \(Fa\) has shape \(1, 3\), but the frame has 2 atoms\."),
        ({"F": np.ones((2, 3, 3))}, r"frame 0: 'F' \(Fa\) goes on after the frame's 2 atoms; padding must be 0\."),
        (
            {"R": np.ones((2, 6))},
            r"'R' \(Ra\) has shape \(2, 6\), expected \(frames, atoms, 3\), or \(atoms, 3\) for one",
        ),
        ({"R": np.ones(3)}, r"'R' \(Ra\) has shape \(3,\), expected"),
        ({"R": np.ones((1, 2, 2, 3))}, r"'R' \(Ra\) has shape \(1, 2, 2, 3\), expected"),
        ({"E": np.ones((2, 2))}, r"'E' \(E\) has shape \(2, 2\), expected \(2,\)\."),
        ({"z": np.ones(3)}, r"frame 0: 'R' \(Ra\) has shape \(2, 3\), but the frame has 3 atoms\."),
        ({"R": np.ones((4, 3))}, r"'E' \(E\) has 2 frames, but 'R' \(Ra\) has 1 of shape \(4, 3\)\. If .* map N, the"),
        ({"R": np.ones((0, 2, 3))}, r"there are no frames in this file"),
        ({"R": np.ones((2, 0, 3)), "z": np.ones((2, 0))}, r"frame 0: there are no atoms"),
    ],
)
@pytest.mark.parametrize("data_format", ["npz", "hdf5", "pickle"])
def test_columns_that_do_not_fit(tmp_path, columns, message, data_format):
    columns = {"R": R2, "z": np.array([6, 1]), "E": np.ones(2), "F": R2} | columns
    save = {"npz": save_npz, "hdf5": save_hdf5, "pickle": lambda p, **c: dump(p, c)}[data_format]
    path = save(tmp_path / "a.npz", **columns)
    with pytest.raises(DataError, match=rf"^{path}: {message}"):
        read(path, data_format, TWO | {"E": "E", "Fa": "F"})


def test_a_list_of_another_length(tmp_path):
    columns = {"R": [R2[0], R2[0, :1]], "z": [[6, 1], [1]], "E": [1.0, 2.0, None]}
    with pytest.raises(DataError, match=r"'E' \(E\) has 3 frames, but 'R' \(Ra\) has 2\."):
        read(dump(tmp_path / "a.pkl", columns), "pickle", TWO | {"E": "E"})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"N": [1, 2]}, r"'N' \(N\) adds up to 3 atoms, but 'R' \(Ra\) has 4 rows\."),
        ({"N": [4, 0]}, r"frame 1: there are no atoms"),
        ({"N": [5, -1]}, r"frame 1: there are no atoms"),
        ({"F": np.ones((3, 3))}, r"'F' \(Fa\) has 3 rows, but 'R' \(Ra\) 4\."),
        ({"z": [6] * 5}, r"frame 0: 'z' \(Za\) goes on after the frame's 1 atoms"),
    ],
)
def test_concatenated_columns_that_do_not_fit(tmp_path, columns, message):
    columns = {"R": R2.reshape(-1, 3), "z": [6, 1, 1, 6], "F": R2.reshape(-1, 3), "N": [1, 3]} | columns
    with pytest.raises(DataError, match=message):
        read(save_npz(tmp_path / "a.npz", **columns), "npz", TWO | {"Fa": "F", "N": "N"})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"z": [[6, 1, 1], [6, 0, 1], [6, 1, 1]]},
            r"frame 1: 'z' \(Za\) has a 0 before the last atom; padding must be at",
        ),
        ({"N": [3, 1, 3]}, r"frame 1: 'z' \(Za\) goes on after the frame's 1 atoms; padding must be 0"),
        ({"N": [3, 4, 3]}, r"frame 1: 'z' \(Za\) has shape \(3,\), but the frame has 4 atoms"),
        ({"N": [3, 0, 3]}, r"frame 1: there are no atoms"),
        ({"z": [[6, 1, 1], [6, 1, 0], [6, 1, 1]]}, r"frame 1: 'R' \(Ra\) goes on after the frame's 2 atoms"),
    ],
)
def test_padding_holds_nothing(tmp_path, columns, message):
    columns = {"R": np.ones((3, 3, 3)), "z": np.ones((3, 3), int)} | columns
    path = save_npz(tmp_path / "a.npz", **columns)
    for frames_per_block in (1, 2, 9):
        with pytest.raises(DataError, match=message):
            read(path, "npz", TWO | ({"N": "N"} if "N" in columns else {}), frames_per_block)


# ------------------------------------------------------------------ files that are something else


def test_missing_files_and_folders(tmp_path):
    dump(tmp_path / "dataset.pkl", [])
    with pytest.raises(DataError, match=r"datset\.pkl: there is no such file\. Did you mean 'dataset\.pkl'\?"):
        read_blocks(tmp_path / "datset.pkl", "pickle", TWO)
    with pytest.raises(DataError, match="there is no such file"):
        file_names(tmp_path / "nowhere" / "a.pkl", "pickle")
    with pytest.raises(DataError, match="this is a folder"):
        read_blocks(tmp_path, "pickle", TWO)
    with pytest.raises(
        DataError, match=r"there is no data_format 'pickel'\. Did you mean 'pickle'\? Known: pickle, npz"
    ):
        read_blocks(tmp_path / "dataset.pkl", "pickel", TWO)


@pytest.mark.parametrize("content", [[], (), {}])
def test_pickles_without_frames(tmp_path, content):
    path = dump(tmp_path / "a.pkl", content)
    with pytest.raises(DataError, match=r"there are no frames|there is no 'R' \(Ra\)\. It has: nothing\."):
        read(path, "pickle", TWO)
    assert file_names(path, "pickle") == []


@pytest.mark.parametrize("data_format", FORMATS)
def test_empty_files(tmp_path, data_format):
    path = tmp_path / "a"
    path.touch()
    with pytest.raises(DataError, match="the file is empty"):
        read_blocks(path, data_format, TWO)


@pytest.mark.parametrize("asked", FORMATS)
@pytest.mark.parametrize("write", [write_pickle_list, write_npz_padded, write_hdf5_padded, write_extxyz, write_ase])
def test_a_file_of_another_format_says_which(tmp_path, write, asked):
    path, data_format = write(tmp_path, make_frames([2]))
    if asked != data_format:
        with pytest.raises(DataError, match=f"data_format is '{asked}', but .* set data_format: {data_format}\\."):
            read(path, asked, NAMES)


def test_files_of_no_known_format(tmp_path):
    path = tmp_path / "a"
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(DataError, match=r"looks like a single numpy array \(\.npy\); known formats: pickle, npz"):
        read(tmp_path / "a.npy", "npz", TWO)
    path.write_bytes(gzip.compress(pickle.dumps([])))
    with pytest.raises(DataError, match="looks like a compressed file; unpack it first"):
        read(path, "pickle", TWO)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", "")
    with pytest.raises(DataError, match=r"looks like a file of torch\.save"):
        read(path, "pickle", TWO)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("content", [b"some words\nand more\n", b"\0\1\2\3" * 100, b"{}", b"energy,forces\n1,2\n"])
@pytest.mark.parametrize("function", [lambda p, f: read(p, f, TWO), file_names])
def test_files_that_are_nothing_of_the_sort(tmp_path, data_format, content, function):
    path = tmp_path / "a"
    path.write_bytes(content)
    message = "not an? |damaged|expected the number of atoms, found"
    with pytest.raises(DataError, match=message):
        function(path, data_format)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.98])
def test_truncated_files(tmp_path, write, part):
    path, data_format = write(tmp_path, make_frames([3] * 13))
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(DataError, match=f"^{path}: "):
        read(path, data_format, NAMES)


def test_damage_within_an_npz(tmp_path):
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1])
    content = bytearray(path.read_bytes())
    content[content.index(R2.tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"'R' \(Ra\) is damaged"):
        read(path, "npz", TWO)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("R", "words")
        archive.writestr("z", "words")
    with pytest.raises(DataError, match=r"'R' \(Ra\) is not an array"):
        read(path, "npz", TWO)


@pytest.mark.parametrize(
    ("shape", "type_"),
    [
        ((3, 2, 3), "<f8"),
        ((1, 2, 3), "<f8"),
        ((10**12, 2, 3), "<f8"),
        ((-2, -2, 3), "<f8"),
        ((-1, 2, 3), "<f8"),
        ((1, 2, 3), ("<f8", (2,))),  # would be an array of another shape
    ],
)
def test_an_npz_has_as_many_bytes_as_its_shape_says(tmp_path, shape, type_):
    header = BytesIO()
    npy.write_array_header_1_0(header, {"descr": type_, "fortran_order": False, "shape": shape})
    path = save_npz(tmp_path / "a.npz", z=[6, 1])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("R.npy", header.getvalue() + R2.tobytes())
    what = f"'R' (Ra) is damaged (shape {shape} of {np.dtype(type_)} is not what 96 bytes hold)."
    with pytest.raises(DataError, match=re.escape(what)):
        read(path, "npz", TWO)


def test_objects_in_npz_are_not_read(tmp_path):
    ragged = np.empty(2, dtype=object)
    ragged[:] = [R2[0], R2[0, :1]]
    path = save_npz(tmp_path / "a.npz", R=ragged, z=[6, 1], note=ragged)
    with pytest.raises(
        DataError, match=r"'R' \(Ra\) holds Python objects, which are not read.*with N; or pad with zeros"
    ):
        read(path, "npz", TWO)
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1], note=ragged)
    assert len(read(path, "npz", TWO)["N"]) == 2  # what is not mapped does no harm


def save_compressed(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("save", [save_npz, save_compressed])
def test_npz_is_read_in_slices(tmp_path, monkeypatch, save):
    R = np.random.default_rng(0).normal(size=(50, 4, 3))
    path = save(tmp_path / "a.npz", R=R, z=np.ones((50, 4)), E=np.arange(50.0))
    flat = save(tmp_path / "b.npz", R=R.reshape(200, 3), z=np.ones(200), E=np.arange(50.0), N=np.full(50, 4))
    sizes = []
    get = zipfile.ZipExtFile.read

    def watched(self, n=-1):
        content = get(self, n)
        sizes.append(len(content))
        return content

    monkeypatch.setattr(zipfile.ZipExtFile, "read", watched)
    for file, mapping in [(path, TWO | {"E": "E"}), (flat, TWO | {"E": "E", "N": "N"})]:
        sizes.clear()
        found = read(file, "npz", mapping, 5)
        assert_array_equal(found["Ra"], R.reshape(200, 3))
        assert_array_equal(found["E"], np.arange(50.0))
        assert max(sizes) == 5 * 4 * 3 * 8
        # all once and N twice, and a few headers
        assert sum(sizes) < R.nbytes + 8 * (200 + 50 + 2 * 50) + 1000


def save_chunked(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip", chunks=(70, *(1,) * (values.ndim - 1)))
    return path


@pytest.mark.parametrize("concatenated", [False, True])
@pytest.mark.parametrize("save", [save_npz, save_compressed, save_hdf5, save_chunked])
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path, save, concatenated):
    peaks = []
    for n in (300, 3000):
        columns = {"R": np.random.default_rng(0).normal(size=(n, 4, 3)), "z": np.ones((n, 4), int)}
        if concatenated:
            columns = {"R": columns["R"].reshape(-1, 3), "z": columns["z"].reshape(-1), "N": np.full(n, 4)}
        path = save(tmp_path / f"{n}.npz", **columns)
        mapping = TWO | ({"N": "N"} if concatenated else {})
        data_format = "npz" if save in (save_npz, save_compressed) else "hdf5"
        tracemalloc.start()
        assert sum(block.num_frames for block in read_blocks(path, data_format, mapping, 50)) == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 3000 numbers of atoms in one piece would be 24 kB alone, all positions 288 kB
    assert peaks[1] < peaks[0] + 24_000


def save_member(path, header, content):
    """Write an npz file with a header of choice for R."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, description, data in [("R", header, content), ("z", {"shape": (2,)}, np.array([6, 1.0]).tobytes())]:
            with archive.open(f"{name}.npy", "w") as file:
                full = {"descr": "<f8", "fortran_order": False} | description
                np.lib.format.write_array_header_2_0(file, full)
                file.write(data)
    return path


@pytest.mark.parametrize(
    "header",
    [
        {"shape": (3, 2, 3)},
        {"shape": (1, 2, 3)},
        {"shape": (2, 2, -3)},
        {"shape": (2, -2, -3)},
        {"shape": (10**9, 2, 3)},
        {"shape": (2, 10**12, 3)},
        {"shape": (2, 2, 3), "fortran_order": True, "descr": "<f4"},
        {"shape": (10**12, 2, 3), "fortran_order": True},
        {"shape": (2, 2), "descr": ("<f8", (3,))},
    ],
)
def test_headers_that_lie(tmp_path, header):
    path = save_member(tmp_path / "a.npz", header, R2.tobytes())
    tracemalloc.start()
    with pytest.raises(DataError, match=rf"^{path}: 'R' \(Ra\) is damaged \(shape .* is not what 96 bytes hold\)"):
        read(path, "npz", TWO)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize("descr", ["|O", [("a", "<f8"), ("b", "|O")]])
def test_pickles_behind_a_header_are_not_loaded(tmp_path, descr):
    payload = pickle.dumps([Call(os.system, f"touch {tmp_path / 'made'}")])
    path = save_member(tmp_path / "a.npz", {"shape": (2, 2, 3), "descr": descr}, payload)
    with pytest.raises(DataError, match=r"'R' \(Ra\) holds Python objects, which are not read"):
        read(path, "npz", TWO)
    assert list(tmp_path.iterdir()) == [path]


def test_npz_of_another_layout(tmp_path):
    fortran = np.asfortranarray(R2)
    assert not fortran.flags.c_contiguous
    path = save_npz(tmp_path / "a.npz", R=fortran, z=np.asfortranarray([[6, 1], [8, 1]]))
    for frames_per_block in (1, 2):
        found = read(path, "npz", TWO, frames_per_block)
        assert_array_equal(found["Ra"], R2.reshape(-1, 3))
        assert_array_equal(found["Za"], [6, 1, 8, 1])
    # version 3 of the format, which numpy writes where names need it
    content = save_member(tmp_path / "a.npz", {"shape": (2, 2, 3)}, R2.tobytes())
    with zipfile.ZipFile(content) as archive:
        members = {name: archive.read(name).replace(b"NUMPY\x02", b"NUMPY\x03") for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    assert_array_equal(read(path, "npz", TWO)["Ra"], R2.reshape(-1, 3))


def test_damage_at_the_end_of_an_npz_is_found(tmp_path):
    R = np.random.default_rng(0).normal(size=(50, 100, 3))
    path = save_npz(tmp_path / "a.npz", R=R, z=np.ones(100, int))
    content = bytearray(path.read_bytes())
    content[content.index(R[49].tobytes())] ^= 1
    path.write_bytes(content)
    blocks = read_blocks(path, "npz", TWO, 5)
    for _ in range(9):
        next(blocks)
    with pytest.raises(DataError, match=r"'R' \(Ra\) is damaged"):
        next(blocks)


# ------------------------------------------------------------------ pickles


def numpy_frames():
    values = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    return [
        OrderedDict(
            R=values, z=np.array([6, 1], ">i2"), E=np.float32(1.5), s=np.str_("abc"), note=np.array([1, "b"], object)
        ),
        {
            "R": values[::-1],
            "z": np.array(["C", "H"]),
            "E": 2,
            "s": {1, 2},
            "note": defaultdict(list, a=[b"bytes", 1j]),
        },
    ]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("module", [b"numpy.core", b"numpy._core"])
def test_pickles_of_any_protocol_and_numpy(tmp_path, protocol, module):
    content = pickle.dumps(numpy_frames(), protocol=protocol)
    for submodule in (b"multiarray", b"numeric"):  # a short text is stored with its length in protocol 4 and up
        for written in (b"numpy.core", b"numpy._core"):
            old, new = written + b"." + submodule, module + b"." + submodule
            content = content.replace(bytes([0x8C, len(old)]) + old, bytes([0x8C, len(new)]) + new)
            content = content.replace(b"c" + old + b"\n", b"c" + new + b"\n")
    content = unframed(content) if protocol >= 4 else content
    assert (module + b".multiarray") in content
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    found = read(path, "pickle", TWO | {"E": "E"})
    assert_array_equal(found["Ra"], [[0, 1, 2], [3, 4, 5], [3, 4, 5], [0, 1, 2]])
    assert_array_equal(found["Za"], [6, 1, 6, 1])
    assert_array_equal(found["E"], [1.5, 2])
    assert file_names(path, "pickle") == ["R", "z", "E", "s", "note"]


def unframed(content):
    """Take out the FRAME opcode, whose length is wrong once the content has been edited."""
    at = content.index(b"\x95")
    return content[:at] + content[at + 9 :]


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


class Call:
    """Something that calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def payloads(marker):
    text = str(marker).encode()
    code = f"open({str(marker)!r}, 'w').close()".encode()
    short = lambda words: b"\x8c" + bytes([len(words)]) + words  # noqa: E731
    long = lambda words: b"X" + struct.pack("<I", len(words)) + words  # noqa: E731
    get = short(b"builtins") + short(b"getattr") + b"\x93"
    return {
        f"{os.system.__module__}.system": pickle.dumps([Call(os.system, f"touch {marker}")]),
        "builtins.eval": pickle.dumps([Call(builtins.eval, code.decode())]),
        "builtins.exec": pickle.dumps({"R": Call(builtins.exec, code.decode())}),
        "__builtin__.eval": b"c__builtin__\neval\n(X" + struct.pack("<I", len(code)) + code + b"tR.",
        "numpy.save": pickle.dumps([Call(np.save, str(marker), 1)]),
        "numpy.savetxt": b"cnumpy\nsavetxt\n(" + long(text) + b"]tR.",
        # a dotted name walks from an allowed module to anything
        "numpy.lib.npyio.os.system": b"\x80\x04" + short(b"numpy") + short(b"lib.npyio.os.system") + b"\x93"
        + long(b"touch " + text) + b"\x85R.",
        # getattr(getattr(numpy.ndarray, "tofile") ...): methods of allowed names
        "builtins.getattr": b"\x80\x04" + get + short(b"numpy") + short(b"ndarray") + b"\x93" + short(b"tofile")
        + b"\x86R" + short(b"numpy") + short(b"ndarray") + b"\x93)R" + long(text) + b"\x86R.",
        "collections.OrderedDict.fromkeys.__class__": b"\x80\x04" + short(b"collections")
        + short(b"OrderedDict.fromkeys.__class__") + b"\x93.",
    }  # fmt: skip


LIVE = {"builtins.eval", "builtins.exec", "__builtin__.eval", "numpy.save", "numpy.savetxt"}


@pytest.mark.parametrize("name", payloads(Path("marker")))
def test_nothing_in_a_pickle_is_run(tmp_path, name):
    marker = tmp_path / "marker"
    payload = payloads(marker)[name]
    if name in LIVE or name.endswith("system.system"):  # the payload works where it is let
        pickle.loads(payload)
        made = [marker, marker.with_suffix(".npy")]
        assert any(path.exists() for path in made)
        for path in made:
            path.unlink(missing_ok=True)
    path = tmp_path / "a.pkl"
    path.write_bytes(payload)
    for function in (lambda: read(path, "pickle", TWO), lambda: file_names(path, "pickle")):
        with pytest.raises(DataError, match=rf"^{path}: the pickle asks for {name}, which is not run\. Store numbers"):
            function()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("module", "advice"),
    [
        (b"torch._utils", r"tensor\.numpy\(\)"),
        (b"pandas.core.frame", r"to_dict\('list'\)"),
        (b"ase.atoms", "data_format: extxyz"),
    ],
)
def test_other_classes_are_refused_with_advice(tmp_path, module, advice):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"c" + module + b"\nThing\n)R.")
    with pytest.raises(DataError, match=rf"asks for {module.decode()}\.Thing, which is not run\. .*{advice}"):
        read(path, "pickle", TWO)


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
        file_names(path, "pickle")


def test_a_byte_order_is_nothing_else(tmp_path):
    dtype = ForgedDtype("f8", 3, "O,", None, None, None, 8, 8, 0)  # together 'O,f8', a record with an object
    path = dump(tmp_path / "a.pkl", [Forged((1, (1,), dtype, False, RAW * 2))])
    with pytest.raises(DataError, match=r"damaged .*a byte order 'O,'"):
        file_names(path, "pickle")


def test_an_array_is_filled_once(tmp_path):
    once = pickle.dumps(np.ones(3), protocol=2)
    state = once[once.index(b"(K\x01") : -1]  # the state and BUILD
    assert state.endswith(b"b")
    (tmp_path / "a.pkl").write_bytes(once[:-1] + state + b".")
    with pytest.raises(DataError, match="filled twice"):
        file_names(tmp_path / "a.pkl", "pickle")


def test_pickles_one_after_the_other(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"".join(pickle.dumps(frame) for frame in make_frames([2, 3])))
    with pytest.raises(DataError, match=r"more data follows the first object\. Store all frames in one list"):
        read(path, "pickle", NAMES)


def test_pickles_of_something_else(tmp_path):
    with pytest.raises(
        DataError, match="holds an object of type float; expected a list of dicts, one per frame, or a dict"
    ):
        read(dump(tmp_path / "a.pkl", 1.0), "pickle", TWO)
    with pytest.raises(DataError, match="frame 1 is of type list; expected a list of dicts"):
        read(dump(tmp_path / "a.pkl", [{}, []]), "pickle", TWO)


def test_keys_that_are_no_text(tmp_path):
    path = dump(tmp_path / "a.pkl", {1: 2, "R": R2, "z": [6, 1]})
    assert file_names(path, "pickle") == ["R", "z"]
    assert len(read(path, "pickle", TWO)["N"]) == 2


# ------------------------------------------------------------------ HDF5


def test_groups_share_their_own_values(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for i, symbols in enumerate([[b"C", b"H"], [b"O", b"H", b"H"], [b"He"]]):
            group = file.create_group(f"gdb/{i}")
            group["species"] = symbols
            group["coordinates"] = np.full((i + 1, len(symbols), 3), i)
            group["energies"] = np.arange(i + 1.0)
            group["charge"] = i
        file["gdb"].create_group("notes")["text"] = "a data set without mapped names"
        file["gdb/2"]["smiles"] = "[He]"
    mapping = {"Ra": "coordinates", "Za": "species", "E": "energies", "Q": "charge"}
    for frames_per_block in (1, 2, 3, 100):
        found = read(path, "hdf5", mapping, frames_per_block)
        assert_array_equal(found["N"], [2, 3, 3, 1, 1, 1])
        assert_array_equal(found["Za"], [6, 1, 8, 1, 1, 8, 1, 1, 2, 2, 2])
        assert_array_equal(found["E"], [0, 0, 1, 0, 1, 2])
        assert_array_equal(found["Q"], [0, 1, 1, 2, 2, 2])
        assert_array_equal(found["Ra"][:, 0], [0, 0] + [1] * 6 + [2] * 3)
    assert file_names(path, "hdf5") == ["charge", "coordinates", "energies", "species", "smiles", "text"]


def test_a_group_per_molecule(tmp_path):
    frames = make_frames([3, 1, 2])
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for i, frame in enumerate(frames):
            for source, values in frame.items():
                file[f"molecule{i}/{source}"] = values
    assert_same(read(path, "hdf5", NAMES), expected_arrays(frames))
    assert len(list(read_blocks(path, "hdf5", NAMES, 2))) == 2


def write_hdf5_molecules(path, frames):
    with h5py.File(path, "w") as file:
        for i, frame in enumerate(frames):
            for source, values in frame.items():
                file[f"{i:02d}/{source}"] = values
    return path


def test_groups_of_one_molecule_are_checked_together_and_others_are_not(tmp_path, monkeypatch):
    frames = make_frames([3, 1, 2, 2, 5])
    path = write_hdf5_molecules(tmp_path / "a.h5", frames)
    concatenated = [{"R": R2.reshape(-1, 3), "z": [6, 1] * 2, "N": [2, 2]}] * 2
    others = write_hdf5_molecules(tmp_path / "b.h5", concatenated)
    lengths = []

    class Noted(Table):
        def __init__(self, origin, columns):
            lengths.append(len(columns["Ra"]))
            super().__init__(origin, columns)

    monkeypatch.setattr(hdf5_groups, "Table", Noted)
    assert_same(read(path, "hdf5", NAMES, 4), expected_arrays(frames))
    assert lengths == [4, 5]  # four frames, then one of five atoms
    lengths.clear()
    assert_array_equal(read(others, "hdf5", TWO | {"N": "N"})["N"], [2] * 4)
    assert lengths == [4, 4]


def test_groups_of_one_molecule_need_not_be_alike(tmp_path):
    """Types, axes of length 1, padding, symbols, and more molecules in between; three of these do not fit together."""
    frames = make_frames([3, 1, 2, 2, 2, 4])
    expected = expected_arrays(frames)
    frames[0]["energy"] = np.array([frames[0]["energy"]])
    frames[1]["numbers"] = [chemical_symbols[frames[1]["numbers"][0]]]
    frames[2]["total_charge"] = np.float32(frames[2]["total_charge"])
    frames[2]["forces"] = np.pad(frames[2]["forces"], ((0, 1), (0, 0)))
    frames[5]["numbers"] = np.pad(frames[5]["numbers"].astype(np.uint64), (0, 1))
    frames[3:5] = [{name: np.stack([frame[name] for frame in frames[3:5]]) for name in frames[3]}]
    path = write_hdf5_molecules(tmp_path / "a.h5", frames)
    for frames_per_block in (1, 2, 1024):
        assert_same(read(path, "hdf5", NAMES, frames_per_block), expected)


def test_which_of_many_groups_is_at_fault(tmp_path):
    frames = make_frames([2] * 6)
    frames[4]["forces"] = frames[4]["forces"][:1]
    path = write_hdf5_molecules(tmp_path / "a.h5", frames)
    for frames_per_block in (1, 3, 1024):
        message = r"frame 4 in group '04': 'forces' \(Fa\) has shape \(1, 3\), but the frame has 2 atoms\."
        with pytest.raises(DataError, match=message):
            read(path, "hdf5", NAMES, frames_per_block)


def test_values_linked_between_groups(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a/R"], file["a/z"], file["b/R"] = R2, [6, 1], R2
        file["b/z"] = file["a/z"]
    assert_array_equal(read(path, "hdf5", TWO)["Za"], [6, 1] * 4)


def test_values_that_all_groups_link_to(tmp_path, caplog):
    """Soft links lead to the values, and a group that has nothing else is none of frames, which is said."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["shared/numbers"] = [6, 1]
        for name in "ab":
            file[f"{name}/R"], file[f"{name}/z"] = R2, h5py.SoftLink("/shared/numbers")
        file["index/R"], file["index/z"] = h5py.SoftLink("/a/R"), h5py.SoftLink("/nowhere")
    assert_array_equal(read(path, "hdf5", TWO)["Za"], [6, 1] * 4)
    assert "a.h5: 1 groups, such as 'index', have nothing but soft links, and were not read." in caplog.text


def test_groups_that_are_there_under_two_names_count_once(tmp_path):
    path = save_hdf5(tmp_path / "a.h5", **{"a/R": R2, "a/z": [6, 1]})
    with h5py.File(path, "r+") as file:
        file["again"] = file["a"]
        file["a/whole"] = file["/"]
    assert_array_equal(read(path, "hdf5", TWO)["Za"], [6, 1] * 2)


@pytest.mark.parametrize("source", ["z", "deep/z"])
def test_a_link_that_reaches_another_file_through_a_later_group(tmp_path, source):
    """It must not be followed before the later group is seen: it would be found to lead nowhere."""
    path = save_hdf5(tmp_path / "a.h5", **{"a/R": R2})
    with h5py.File(path, "r+") as file:
        file[f"a/{source}"] = h5py.SoftLink("/b/elsewhere/z")
        file["b/elsewhere"] = h5py.ExternalLink("nowhere.h5", "/")
    with pytest.raises(DataError, match=r"a\.h5: 'b/elsewhere' is a link to another file, which is not read\."):
        read(path, "hdf5", {"Ra": "R", "Za": source})


def test_names_from_the_root_are_read_once(tmp_path):
    path = save_hdf5(tmp_path / "a.h5", **{"R": R2, "z": [6, 1], "notes/more/E": [1.0]})
    assert_array_equal(read(path, "hdf5", {"Ra": "/R", "Za": "/z"})["Za"], [6, 1] * 2)


def test_a_damaged_data_set_is_not_passed_over(tmp_path):
    path = save_hdf5(tmp_path / "a.h5", **{"a/R": R2, "a/z": [6, 1], "b/R": R2, "b/z": [6, 1]})
    with h5py.File(path) as file:
        places = [h5py.h5o.get_info(file[f"b/{name}"].id).addr for name in "Rz"]
    content = bytearray(path.read_bytes())
    for place in places:
        # messages of the header: type (2 bytes), size (2), flags and nothing (4), data; type 3 is a datatype
        message = place + 16
        while content[message] != 3:
            message += 8 + int.from_bytes(content[message + 2 : message + 4], "little")
        content[message + 8] |= 0xF0
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"the data set 'b/R' is damaged\."):
        read(path, "hdf5", TWO)


def test_what_is_in_other_files_is_not_even_looked_at(tmp_path):
    """The shape of a virtual data set may be that of another file, which would be opened for it."""
    save_hdf5(tmp_path / "other.h5", R=R2)
    path = save_hdf5(tmp_path / "a.h5", z=[6, 1])
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout(R2.shape, "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "R", R2.shape)
        file.create_virtual_dataset("R", layout)
    columns = columns_of(path)
    assert (columns["R"].shape, columns["R"].kind) == ((), "O")
    assert columns["z"].shape == (2,)


def test_values_of_which_only_some_were_written(tmp_path):
    """An interrupted program leaves them, and HDF5 reads zeros in their place."""
    path = save_hdf5(tmp_path / "a.h5", R=R2, z=[6, 1])
    with h5py.File(path, "r+") as file:
        file.create_dataset("E", (2,), "f8", chunks=(1,))[0] = 5.0
    with pytest.raises(DataError, match=r"'E' \(E\) has shape \(2,\), but not all of it was written"):
        read(path, "hdf5", {**TWO, "E": "E"})
    with h5py.File(path, "r+") as file:
        del file["E"]
        file.create_dataset("E", (2,), "f8")
    with pytest.raises(DataError, match="not all of it was written"):
        read(path, "hdf5", {**TWO, "E": "E"})


def test_mapped_names_may_be_paths(tmp_path):
    path = save_hdf5(tmp_path / "a.h5", **{"in/R": R2, "in/z": [6, 1], "out/E": [1.0, 2.0]})
    assert_array_equal(read(path, "hdf5", {"Ra": "in/R", "Za": "in/z", "E": "out/E"})["E"], [1, 2])


def test_a_group_that_lacks_a_name(tmp_path):
    path, _ = write_hdf5_grouped(tmp_path, make_frames([2, 2, 3]))
    with h5py.File(path, "r+") as file:
        file.move("part000/size001/positions", "part000/size001/position")
    with pytest.raises(
        DataError, match=r"group 'part000/size001': there is no 'positions' \(Ra\)\. Did you mean 'position'"
    ):
        read(path, "hdf5", NAMES)
    with h5py.File(path, "r+") as file:
        file.move("part000/size001/position", "part000/size001/positions")
        file["energy"] = 1.0
    with pytest.raises(DataError, match=r"group '/': there is no 'positions' \(Ra\)\. It has: energy, part000\."):
        read(path, "hdf5", NAMES)


def test_frames_of_groups_are_numbered_over_the_file(tmp_path):
    path, _ = write_hdf5_grouped(tmp_path, make_frames([2, 2, 3, 3]))
    with h5py.File(path, "r+") as file:
        file["part000/size001/numbers"][1, 0] = 0
    with pytest.raises(DataError, match=r"frame 3 in group 'part000/size001': 'numbers' \(Za\) has a 0 before"):
        read(path, "hdf5", NAMES, 1)
    with h5py.File(path, "r+") as file:
        del file["part000/size001/energy"]
        file["part000/size001/energy"] = [1.0]
    with pytest.raises(
        DataError, match=r"group 'part000/size001': 'energy' \(E\) has 1 frames, but 'positions' \(Ra\) has 2"
    ):
        read(path, "hdf5", NAMES)


def test_hdf5_without_what_is_needed(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["R"], file["z"] = R2, h5py.Empty("f8")
        rows = file.create_dataset("E", (2,), h5py.vlen_dtype("f8"))
        rows[0] = [1.0, 2.0]
    with pytest.raises(DataError, match=r"'z' \(Za\) is empty"):
        read(path, "hdf5", TWO)
    with pytest.raises(DataError, match=r"'E' \(Za\) has rows of varying length\. Store rows of all frames one after"):
        read(path, "hdf5", {"Ra": "R", "Za": "E"})
    with pytest.raises(DataError, match=r"there is no 'x' \(Ra\)\. Did you mean 'R'\? It has: E, R, z\."):
        read(path, "hdf5", {"Ra": "x", "Za": "y"})


def test_hdf5_is_read_in_slices(tmp_path, monkeypatch):
    path = save_hdf5(tmp_path / "a.h5", R=np.ones((50, 4, 3)), z=np.ones((50, 4)), E=np.ones(50))
    flat = save_hdf5(tmp_path / "b.h5", R=np.ones((200, 3)), z=np.ones(200), E=np.ones(50), N=np.full(50, 4))
    sizes = []
    get = h5py.Dataset.__getitem__

    def watched(self, *arguments):
        values = get(self, *arguments)
        sizes.append(np.size(values))
        return values

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    assert len(read(path, "hdf5", TWO | {"E": "E"}, 5)["E"]) == 50
    assert max(sizes) == 5 * 4 * 3
    sizes.clear()
    assert len(read(flat, "hdf5", TWO | {"E": "E", "N": "N"}, 5)["E"]) == 50
    assert max(sizes) == 5 * 4 * 3  # N, 50 numbers, is needed at once


def test_chunks_are_read_once(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    columns = {"R": rng.normal(size=(150, 4, 3)), "z": np.full((150, 4), b"H"), "E": rng.normal(size=150)}
    path = save_chunked(tmp_path / "a.h5", **columns)
    sizes, starts = [], []
    get = h5py.Dataset.__getitem__

    def watched(self, *arguments):
        values = get(self, *arguments)
        sizes.append(np.size(values))
        starts.append(arguments[0].start or 0 if isinstance(arguments[0], slice) else 0)
        return values

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    for frames_per_block in (1, 9, 70, 100, 140, 1000):  # a chunk has 70
        sizes.clear()
        found = read(path, "hdf5", TWO | {"E": "E"}, frames_per_block)
        assert_array_equal(found["Ra"], columns["R"].reshape(-1, 3))
        assert_array_equal(found["E"], columns["E"])
        assert_array_equal(found["Za"], np.ones(600))
        # where a block takes all frames, there is nothing to slice
        assert sum(sizes) == (150 * (12 + 4 + 1) if frames_per_block < 150 else 0)
        assert set(starts) <= {0, 70, 140}


def test_a_group_in_the_place_of_a_data_set(tmp_path):
    path = save_hdf5(tmp_path / "a.h5", **{"a/R": R2, "a/z/numbers": [6, 1]})
    with pytest.raises(DataError, match=r"group 'a': there is no 'z' \(Za\)"):
        read(path, "hdf5", TWO)


# ------------------------------------------------------------------ through ASE

XYZ = """\
2
Properties=species:S:1:pos:R:3:dft_forces:R:3:q:R:1 dft_energy=-3 charge=1 mu="1 2 3"
O 0 0 0 1 0 0 -0.5
H 0 0 1 0 1 0 0.5
"""


def test_extxyz_columns_and_keys_of_any_name(tmp_path):
    path = tmp_path / "a@1.xyz"  # ASE takes what follows @ for frame numbers
    path.write_text(XYZ + "\n\n" + XYZ.replace("-3", "-3.25") + "\n", encoding="utf-8")
    mapping = {"Ra": "positions", "Za": "symbols", "N": "natoms", "Q": "charge"}
    found = read(path, "extxyz", mapping | {"E": "dft_energy", "Fa": "dft_forces", "Qa": "q", "M2": "mu"}, 1)
    assert_array_equal(found["E"], [-3, -3.25])  # also after blank lines, at which ASE stops
    assert_array_equal(found["Za"], [8, 1] * 2)
    assert_array_equal(found["Fa"], [[1, 0, 0], [0, 1, 0]] * 2)
    assert_array_equal(found["Qa"], [-0.5, 0.5] * 2)
    assert_array_equal(found["M2"], [[1, 2, 3]] * 2)
    assert {"numbers", "positions", "dft_energy", "charge"} <= set(file_names(path, "extxyz"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("H 0 0 1 0 1 0 0.5\n", "", "frame 1: the file ends before the last of 2 atoms"),
        ("H 0 0 1 0 1 0 0.5\n", "H 0 0\n", r"frame 1: ASE cannot read it \("),
        ("H 0", "Xx 0", "frame 1: 'Xx' is no element"),
        ("H 0 0 1", "H 0 0 one", r"frame 1: ASE cannot read it \(.*one"),
        ("2\n", "3\n", "frame 1: the file ends before the last of 3 atoms"),
        ("2\n", "two\n", "frame 1: expected the number of atoms, found 'two'"),
        ("2\n", "1\n", "frame 2: expected the number of atoms, found 'H 0 0 1 0 1 0 0.5'"),
        ("dft_energy", "energy", r"frame 1: there is no 'dft_energy' \(E\)\. Did you mean 'energy'\?"),
        ("2\n", "-2\n", "frame 1: expected the number of atoms, found '-2'"),
    ],
)
def test_a_broken_extxyz_frame_is_named(tmp_path, old, new, message):
    path = tmp_path / "a.xyz"
    path.write_text(XYZ + XYZ.replace(old, new, 1), encoding="utf-8")
    for frames_per_block in (1, 10):
        with pytest.raises(DataError, match=rf"^{path}: {message}"):
            read(path, "extxyz", {"Ra": "positions", "Za": "numbers", "E": "dft_energy"}, frames_per_block)


def test_extxyz_is_read_frame_by_frame(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(XYZ * 3 + "nonsense", encoding="utf-8")
    blocks = read_blocks(path, "extxyz", {"Ra": "positions", "Za": "numbers"}, 2)
    assert next(blocks).num_frames == 2
    with pytest.raises(DataError, match="frame 3"):
        next(blocks)


def test_forces_are_not_changed_by_constraints(tmp_path):
    frame = make_frames([3])[0]
    atoms = to_atoms(frame)
    atoms.set_constraint(FixAtoms([0, 1]))
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz", columns=["symbols", "positions", "forces", "move_mask"])
    ase.db.connect(tmp_path / "a.db").write(atoms)
    mapping = {"Ra": "positions", "Za": "numbers", "Fa": "forces"}
    for name, data_format in [("a.xyz", "extxyz"), ("a.db", "ase")]:
        assert_array_equal(read(tmp_path / name, data_format, mapping)["Fa"], frame["forces"])


def test_ase_database_pairs_and_data(tmp_path):
    path = tmp_path / "a.db"
    frames = make_frames([2, 1, 3])
    with ase.db.connect(path) as database:
        for i, f in enumerate(frames):
            atoms = Atoms(f["numbers"], f["positions"])
            database.write(atoms, charge=i + 1, e_ref=f["energy"], data={"mu": f["dipole"], "grad": f["forces"]})
    before, folder = path.read_bytes(), sorted(tmp_path.iterdir())
    mapping = {"Ra": "positions", "Za": "symbols", "N": "natoms"}
    found = read(path, "ase", mapping | {"Q": "charge", "E": "e_ref", "M2": "mu", "Fa": "grad"}, 2)
    assert_array_equal(found["Q"], [1, 2, 3])  # ASE's own row.charge is 0 here
    assert_array_equal(found["E"], [f["energy"] for f in frames])
    assert_array_equal(found["M2"], [f["dipole"] for f in frames])
    assert_array_equal(found["Fa"], np.concatenate([f["forces"] for f in frames]))
    assert (path.read_bytes(), sorted(tmp_path.iterdir())) == (before, folder)


def test_ase_databases_longer_than_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr("pyg_nnp.data.formats.ase_frames._ROWS", 2)
    path, _ = write_ase(tmp_path, make_frames([1, 2, 3, 1, 2]))
    ase.db.connect(path).delete([2])
    found = read(path, "ase", NAMES)
    assert_array_equal(found["N"], [1, 3, 1, 2])


def test_other_sqlite_databases_are_left_alone(tmp_path):
    path = tmp_path / "a.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match="this SQLite database is not one of ASE"):
        read(path, "ase", TWO)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_ase_databases_without_frames_or_with_a_damaged_row(tmp_path):
    path, _ = write_ase(tmp_path, make_frames([2, 2]))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE systems SET positions = x'00' WHERE id = 2")
    connection.commit()
    with pytest.raises(DataError, match="ASE cannot read frame 0 or one of the 1000 after it"):
        read(path, "ase", NAMES)
    connection.execute("DELETE FROM systems")
    connection.commit()
    connection.close()
    with pytest.raises(DataError, match="there are no frames in this file"):
        read(path, "ase", NAMES)
    assert file_names(path, "ase") == []
