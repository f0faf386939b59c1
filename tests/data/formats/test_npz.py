"""Arrays in npz files: shapes, damage, and how much is read at once."""

import os
import pickle
import re
import tracemalloc
import zipfile
from io import BytesIO

import numpy as np
import pytest
from frame_files import R2, TWO, Call, read, save_compressed, save_npz, shared_file
from numpy.lib import format as npy
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats.readers import columns_of, read_blocks
from pyg_nnp.errors import DataError


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


def test_damage_within_an_npz(tmp_path):
    path = save_npz(tmp_path / "a.npz", R=R2, z=[6, 1])
    content = bytearray(path.read_bytes())
    content[content.index(R2.tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"'R' \(Ra\) is damaged"):
        read(path, "npz", TWO)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("R", "words")
        archive.writestr("z.npy", "words")
    with pytest.raises(DataError, match=r"'R' \(Ra\) is not an array"):
        read(path, "npz", TWO)


def test_archives_without_arrays(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.xyz", "1\n\nH 0 0 0\n")
    with pytest.raises(DataError, match=r"has no arrays of numpy \(\.npy\), but 'a.xyz'\. Unpack it, or save arrays"):
        columns_of(path)


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


def as_objects(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@pytest.mark.parametrize("save", [save_npz, save_compressed])
def test_objects_in_npz_are_numbers_of_each_frame(tmp_path, save):
    ragged, z = as_objects(R2[0], R2[0, :1]), as_objects(["C", "H"], np.array([2], "u1"))
    path = save(tmp_path / "a.npz", R=ragged, z=z, E=as_objects(-1, -2.5), Q=np.array(1, dtype=object))
    for frames_per_block in (1, 9):
        found = read(path, "npz", TWO | {"E": "E", "Q": "Q"}, frames_per_block)
        assert_array_equal(found["Ra"], np.concatenate([R2[0], R2[0, :1]]))
        assert_array_equal(found["Za"], [6, 1, 2])
        assert_array_equal(found["E"], [-1, -2.5])
        assert_array_equal(found["Q"], [1, 1])
    assert columns_of(path, "npz")["E"][:2] == ((2,), np.dtype("f8"))
    path = save(tmp_path / "b.npz", R=as_objects(*R2), z=as_objects(6, 1), note=as_objects({"a": 1}, print))
    assert_array_equal(read(path, "npz", TWO)["Ra"], R2.reshape(-1, 3))  # what is not mapped does no harm
    assert columns_of(path, "npz")["note"][:2] == ((), np.dtype(object))
    with pytest.raises(DataError, match=r"'note' \(E\): the pickle asks for \w+.print, which is not run"):
        read(path, "npz", TWO | {"E": "note"})
    path = save(tmp_path / "c.npz", R=R2, z=[6, 1], E=as_objects(1.0, None))
    with pytest.raises(DataError, match=r"frame 1: 'E' \(E\) is None"):
        read(path, "npz", TWO | {"E": "E"})


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
    with pytest.raises(DataError, match=r"'R' \(Ra\)(: the pickle asks for \w+\.system, which| holds records)"):
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
