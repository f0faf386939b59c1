"""Every format gives back what was written, and says what is wrong with a file."""

import gzip
import pickle
import tempfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import get_args

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from frame_files import (
    NAMES,
    TWO,
    WRITERS,
    assert_same,
    dump,
    expected_arrays,
    make_frames,
    padded,
    read,
    save_chunked,
    save_compressed,
    save_hdf5,
    save_npz,
    to_atoms,
    write_ase,
    write_aselmdb,
    write_extxyz,
    write_hdf5_padded,
    write_npz_padded,
    write_pickle_list,
    write_pickle_padded,
    write_xyz_gz,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from pyg_nnp.config import Datahub
from pyg_nnp.data.formats.readers import FORMATS, columns_of, read_blocks
from pyg_nnp.errors import DataError


@pytest.mark.parametrize("write", [write for write in WRITERS if write not in (write_ase, write_aselmdb)])  # slow
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
        assert set(NAMES.values()) <= set(columns_of(path, data_format))


@pytest.mark.parametrize("write", [write_ase, write_aselmdb])
def test_reads_back_what_was_written_to_a_database(tmp_path, write):
    frames = make_frames([3, 1, 4, 2] * 3)
    path, data_format = write(tmp_path, frames)
    for frames_per_block in (1, 3, 9):
        assert_same(read(path, data_format, NAMES, frames_per_block), expected_arrays(frames))
    assert set(NAMES.values()) <= set(columns_of(path, data_format))


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
    assert list(FORMATS) == list(get_args(get_args(Datahub.model_fields["data_format"].annotation)[0]))


@pytest.mark.parametrize("write", WRITERS)
def test_lone_atoms(tmp_path, write):
    frames = make_frames([1, 1, 1])
    path, data_format = write(tmp_path, frames)
    assert_same(read(path, data_format, NAMES, 2), expected_arrays(frames))


def test_missing_files_and_folders(tmp_path):
    dump(tmp_path / "dataset.pkl", [])
    with pytest.raises(DataError, match=r"datset\.pkl: there is no such file\. Did you mean 'dataset\.pkl'\?"):
        read_blocks(tmp_path / "datset.pkl", "pickle", TWO)
    with pytest.raises(DataError, match="there is no such file"):
        columns_of(tmp_path / "nowhere" / "a.pkl", "pickle")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"empty: there are no data files of a known format in this folder\. It has: nothing"
    ):
        read_blocks(tmp_path / "empty", "pickle", TWO)
    with pytest.raises(
        DataError, match=r"there is no data_format 'pickel'\. Did you mean 'pickle'\? Known: pickle, npz"
    ):
        read_blocks(tmp_path / "dataset.pkl", "pickel", TWO)


@pytest.mark.parametrize("data_format", FORMATS)
def test_empty_files(tmp_path, data_format):
    path = tmp_path / "a"
    path.touch()
    with pytest.raises(DataError, match="the file is empty"):
        read_blocks(path, data_format, TWO)


@pytest.mark.parametrize("asked", FORMATS)
@pytest.mark.parametrize(
    "write",
    [write_pickle_list, write_npz_padded, write_hdf5_padded, write_extxyz, write_ase, write_aselmdb, write_xyz_gz],
)
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
@pytest.mark.parametrize("function", [lambda p, f: read(p, f, TWO), columns_of])
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


LACKING = {0: ["forces"], 1: ["forces", "energy"], 2: ["charges", "dipole"], 4: ["energy"]}


def frames_with_gaps(missing=None):
    """Frames of which some lack labels, or have ``missing`` there, and what they are read as."""
    frames = make_frames([3, 3, 1, 4, 4])
    expected = [dict(frame) for frame in frames]
    for number, names in LACKING.items():
        for name in names:
            expected[number][name] = np.full(np.shape(frames[number][name]), np.nan)
            frames[number][name] = missing
    return frames, expected_arrays(expected)


def write_list_without(folder, frames):
    """Write dicts that have no key for what is missing."""
    content = [{name: value for name, value in frame.items() if value is not None} for frame in frames]
    return dump(folder / "a.pkl", content), "pickle"


def write_columns_with_none(folder, frames):
    return dump(folder / "a.pkl", {s: [f[s] for f in frames] for s in NAMES.values()}), "pickle"


def write_groups_without(folder, frames):
    """Write a group for each frame, without data sets for what is missing."""
    groups = {f"{i}/{name}": value for i, frame in enumerate(frames) for name, value in frame.items()}
    return save_hdf5(folder / "a.h5", **{name: value for name, value in groups.items() if value is not None}), "hdf5"


def write_stacked_groups_without(folder, frames):
    """Write a group of several frames, which has no forces, and groups of one."""
    frames = [{name: value for name, value in frame.items() if value is not None} for frame in frames]
    frames[1]["energy"] = np.nan
    groups = {f"0/{name}": np.stack([frame[name] for frame in frames[:2]]) for name in frames[1]}
    for i, frame in enumerate(frames[2:], 1):
        groups |= {f"{i}/{name}": np.asarray(value)[None] for name, value in frame.items()}
    return save_hdf5(folder / "a.h5", **groups), "hdf5"


def to_atoms_without(frame):
    atoms = Atoms(frame["numbers"], frame["positions"], info={"total_charge": frame["total_charge"]})
    results = {key: frame[key] for key in ("energy", "forces", "charges", "dipole") if frame[key] is not None}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def write_extxyz_without(folder, frames):
    ase.io.write(folder / "a.extxyz", [to_atoms_without(f) for f in frames], format="extxyz")
    return folder / "a.extxyz", "extxyz"


def write_ase_without(folder, frames):
    with ase.db.connect(folder / "a.db") as database:
        for frame in frames:
            database.write(to_atoms_without(frame), total_charge=frame["total_charge"])
    return folder / "a.db", "ase"


WITH_GAPS = [
    write_pickle_list,
    write_list_without,
    write_columns_with_none,
    write_groups_without,
    write_stacked_groups_without,
    write_extxyz_without,
    write_ase_without,
]
LABELS = ("E", "Fa", "Qa", "M2")


@pytest.mark.parametrize("write", WITH_GAPS)
def test_labels_may_be_missing_in_part_of_the_frames(write, tmp_path):
    frames, expected = frames_with_gaps()
    path, data_format = write(tmp_path, frames)
    for frames_per_block in (1, 2, 9):
        assert_same(read(path, data_format, NAMES, frames_per_block, LABELS), expected)


@pytest.mark.parametrize("write", WITH_GAPS)
@pytest.mark.parametrize("needed", LABELS)
def test_what_may_not_be_missing_is_asked_for(write, needed, tmp_path):
    path, data_format = write(tmp_path, frames_with_gaps()[0])
    others = [name for name in LABELS if name != needed]
    text = rf"\({needed}\).* write {needed} in Datahub.allow_missing"
    with pytest.raises(DataError, match=text):
        read(path, data_format, NAMES, optional=others)


@pytest.mark.parametrize("write", [write_pickle_padded, write_npz_padded, write_hdf5_padded, write_pickle_list])
def test_nan_says_that_a_label_is_missing(write, tmp_path):
    frames, expected = frames_with_gaps()
    for number, names in LACKING.items():
        for name in names:
            frames[number][name] = np.full(np.shape(make_frames([3, 3, 1, 4, 4])[number][name]), np.nan)
    path, data_format = write(tmp_path, frames)
    for frames_per_block in (1, 2, 9):
        assert_same(read(path, data_format, NAMES, frames_per_block, LABELS), expected)


def test_single_atoms_may_lack_labels(tmp_path):
    frames = make_frames([2, 3])
    frames[1]["charges"] = [0.5, None, np.nan]
    frames[0]["forces"] = np.nan  # as a table of another program has it
    path = dump(tmp_path / "a.pkl", frames)
    found = read(path, "pickle", NAMES, optional=LABELS)
    assert_array_equal(found["Qa"], [*frames[0]["charges"], 0.5, np.nan, np.nan])
    assert np.isnan(found["Fa"][:2]).all()
    assert_array_equal(found["Fa"][2:], frames[1]["forces"])


@pytest.mark.parametrize("write", [write_pickle_list, write_npz_padded, write_hdf5_padded, write_extxyz, write_ase])
def test_names_of_groups_are_text(write, tmp_path):
    frames = make_frames([3, 2, 2])
    path, data_format = write(tmp_path, frames)
    groups = ["bulk", "a", "isolated atom"]
    if data_format == "pickle":
        dump(path, [frame | {"kind": group} for frame, group in zip(frames, groups, strict=True)])
    elif data_format == "npz":
        save_npz(path, **padded(frames), kind=groups)
    elif data_format == "hdf5":
        save_hdf5(path, **padded(frames), kind=groups)
    elif data_format == "extxyz":
        atoms = [to_atoms(frame) for frame in frames]
        for one, group in zip(atoms, groups, strict=True):
            one.info["kind"] = group
        ase.io.write(path, atoms, format="extxyz")
    else:
        with ase.db.connect(path) as database:
            for row, group in enumerate(groups, 1):
                database.update(row, kind=group)
    assert read(path, data_format, {**NAMES, "group": "kind"}, 2)["group"].tolist() == groups
