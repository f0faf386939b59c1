"""Frames from groups of HDF5 files."""

import h5py
import numpy as np
import pytest
from ase.data import chemical_symbols
from frame_files import (
    NAMES,
    R2,
    TWO,
    assert_same,
    expected_arrays,
    make_frames,
    read,
    save_chunked,
    save_hdf5,
    shared_file,
    write_hdf5_grouped,
)
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats import hdf5
from pyg_nnp.data.formats.columns import Table
from pyg_nnp.data.formats.readers import columns_of, read_blocks
from pyg_nnp.errors import DataError


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
    assert "mult" in columns_of(path, "hdf5")


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
    assert list(columns_of(path, "hdf5")) == ["charge", "coordinates", "energies", "species", "smiles", "text"]


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
        def __init__(self, origin, columns, cells=None):
            lengths.append(len(columns["Ra"]))
            super().__init__(origin, columns, cells)

    monkeypatch.setattr(hdf5, "Table", Noted)
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


def test_names_from_the_root_are_read_once(tmp_path):
    path = save_hdf5(tmp_path / "a.h5", **{"R": R2, "z": [6, 1], "notes/more/E": [1.0]})
    assert_array_equal(read(path, "hdf5", {"Ra": "/R", "Za": "/z"})["Za"], [6, 1] * 2)


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


def test_an_empty_array_of_a_group_is_a_missing_label(tmp_path):
    """As SPICE has them where no charges were computed, and where no conformation is left."""
    with h5py.File(tmp_path / "some.h5", "w") as file:
        for name, frames in (("with", 2), ("without", 2), ("nothing", 0)):
            group = file.create_group(name)
            group["R"], group["z"] = (np.zeros((frames, 2, 3)) if frames else np.zeros(0)), [8, 1]
            group["E"] = np.ones(frames)
            group["q"] = np.ones((frames, 2)) if name == "with" else np.zeros(0)
    names = {"Ra": "R", "Za": "z", "E": "E", "Qa": "q"}
    blocks = list(read_blocks(tmp_path / "some.h5", "hdf5", names, optional=["Qa"]))
    assert sum(block.num_frames for block in blocks) == 4
    Qa = np.concatenate([block.arrays["Qa"] for block in blocks])
    np.testing.assert_array_equal(Qa, [1] * 4 + [np.nan] * 4)
    with pytest.raises(DataError, match=r"group 'without': 'q' \(Qa\) has shape \(0,\)"):
        list(read_blocks(tmp_path / "some.h5", "hdf5", names))
