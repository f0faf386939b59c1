"""Data files of all formats with random frames, and what a reader must make of them."""

import gzip
import json
import pickle
import zlib
from itertools import groupby
from pathlib import Path

import ase.db
import ase.io
import h5py
import lmdb
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats.readers import read_blocks

DATA = Path(__file__).resolve().parents[1] / "../shared/data"

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


def read(path, data_format, mapping, frames_per_block=1024, optional=()):
    blocks = list(read_blocks(path, data_format, mapping, frames_per_block, optional))
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


def save_lmdb(path, rows, extra=(), **options):
    """Write rows as fairchem does: JSON, compressed, under numbers from 1 on; ``extra`` has other keys and values."""
    pack = lambda value: zlib.compress(json.dumps(value, **options).encode())  # noqa: E731
    contents = {str(i): pack(row) for i, row in enumerate(rows, start=1)}
    contents |= {"nextid": pack(len(rows) + 1), "deleted_ids": pack([]), "metadata": pack({})} | dict(extra)
    with lmdb.open(str(path), subdir=False, map_size=1 << 30) as environment, environment.begin(write=True) as rows_of:
        for key, value in contents.items():
            rows_of.put(key.encode(), value)
    path.with_name(f"{path.name}-lock").unlink()
    return path


def lmdb_row(frame, **data):
    lists = {key: np.asarray(frame[key]).tolist() for key in ("positions", "numbers", "energy", "forces", "dipole")}
    lists |= {"charges": frame["charges"].tolist(), "ctime": 1.0, "mtime": 1.0, "user": "me", "unique_id": "0"}
    return lists | {"cell": np.zeros((3, 3)).tolist(), "pbc": [False] * 3, "data": {"charge": 0, "spin": 1} | data}


def write_aselmdb(folder, frames):
    # fairchem writes "charge"; two names have to say the same
    rows = [lmdb_row(frame, **dict.fromkeys(("total_charge", "charge"), frame["total_charge"])) for frame in frames]
    return save_lmdb(folder / "a.aselmdb", rows), "aselmdb"


def write_xyz_gz(folder, frames):
    path, data_format = write_extxyz(folder, frames)
    packed = path.with_name("a.xyz.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed, data_format


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
    write_aselmdb,
    write_xyz_gz,
]


def shared_file(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is missing")
    return path


R2 = np.arange(12.0).reshape(2, 2, 3)  # two frames of two atoms
TWO = {"Ra": "R", "Za": "z"}


def save_compressed(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def save_chunked(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip", chunks=(70, *(1,) * (values.ndim - 1)))
    return path


class Call:
    """Something that calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call
