"""Folders of data files."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from frame_files import (
    NAMES,
    assert_same,
    expected_arrays,
    make_frames,
    read,
    save_npz,
    write_ase,
    write_aselmdb,
    write_extxyz,
    write_hdf5_padded,
    write_npz_padded,
    write_pickle_list,
    write_xyz_gz,
)

from pyg_nnp.data.formats.readers import columns_of, data_files, format_of, read_blocks
from pyg_nnp.data.formats.structures import structure_blocks
from pyg_nnp.errors import DataError

Write = Callable[..., tuple[Path, str]]


def write_some(folder: Path, write: Write, sizes: list[list[int]]) -> tuple[Path, str, list[dict]]:
    """Write files of one format, in whose names numbers grow, into a folder beside what is no data."""
    data, frames, data_format = folder / "data", [], ""
    data.mkdir()
    for i, sizes_of_file in enumerate(sizes):
        of_file = make_frames(sizes_of_file, seed=i)
        path, data_format = write(folder, of_file)
        path.rename(data / f"part{8 + i}{''.join(path.suffixes)}")
        frames += of_file
    for name in ("README.md", ".hidden.xyz", "part8.aselmdb-lock"):
        (data / name).write_text("What this is.\n")
    (data / "more").mkdir()
    return data, data_format, frames


@pytest.mark.parametrize(
    "write",
    [write_pickle_list, write_npz_padded, write_hdf5_padded, write_extxyz, write_xyz_gz, write_ase, write_aselmdb],
)
@pytest.mark.parametrize("frames_per_block", [2, 1024])
def test_files_are_read_one_after_the_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, write: Write, frames_per_block: int
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "w").mkdir()
    folder, data_format, frames = write_some(tmp_path, write, [[3, 1, 2], [4], [2, 2]])
    assert format_of(folder) == data_format
    assert [path.name.partition(".")[0] for path in data_files(folder, data_format)] == ["part8", "part9", "part10"]
    assert set(NAMES.values()) <= set(columns_of(folder))
    found = read(folder, data_format, NAMES, frames_per_block)
    assert_same(found, expected_arrays(frames))
    assert "3 files of the format" in caplog.text
    assert "and not read: README.md" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    features = {"Ra": "positions", "Za": "numbers", "Q": "total_charge"}
    blocks = list(structure_blocks(folder, features))
    assert sum(block.num_frames for block in blocks) == 6
    np.testing.assert_array_equal(np.concatenate([block.arrays["Q"] for block in blocks]), found["Q"])


def test_databases_of_fairchem_have_metadata_beside_them(tmp_path: Path) -> None:
    folder, _, frames = write_some(tmp_path, write_aselmdb, [[2], [3]])
    save_npz(folder / "metadata.npz", natoms=[2, 3])
    assert format_of(folder) == "aselmdb"
    assert_same(read(folder, "aselmdb", NAMES), expected_arrays(frames))


def test_files_of_several_formats(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, _, frames = write_some(tmp_path, write_extxyz, [[2], [3]])
    save_npz(folder / "a.npz", R=np.ones(3))
    for function in (format_of, columns_of):
        with pytest.raises(DataError, match="in this folder are of several formats: npz, extxyz"):
            function(folder)
    assert_same(read(folder, "extxyz", NAMES), expected_arrays(frames))
    assert "not of the format extxyz, and not read: a.npz" in caplog.text
    with pytest.raises(DataError, match="data_format is 'hdf5', but this looks like an npz file"):
        read(folder, "hdf5", NAMES)


def test_folders_of_deepmd_are_named(tmp_path: Path) -> None:
    (tmp_path / "type.raw").write_text("0\n1\n")
    (tmp_path / "nopbc").touch()
    (tmp_path / "set.000").mkdir()
    with pytest.raises(DataError, match=r"a folder of DeePMD-kit, which is not read\. Save its arrays in one npz"):
        data_files(tmp_path, None)


def test_arrays_of_numpy_are_no_data_files(tmp_path: Path) -> None:
    """As TorchMD-NET and DeePMD-kit have them, a file for each field."""
    for name in ("coord", "energy"):
        np.save(tmp_path / f"{name}.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"no data files of a known format in this folder\. It has: coord\.npy, energy"):
        columns_of(tmp_path)
    with pytest.raises(DataError, match=r"looks like a single numpy array \(\.npy\), and is no data file of a known"):
        columns_of(tmp_path / "coord.npy")


def test_messages_name_the_file(tmp_path: Path) -> None:
    folder, data_format, _ = write_some(tmp_path, write_extxyz, [[2], [3, 3]])
    path = folder / "part9.extxyz"
    path.write_text(path.read_text().replace("energy=", "other=", 1))
    with pytest.raises(DataError, match=rf"^{path}: frame 0: there is no 'energy'"):
        list(read_blocks(folder, data_format, NAMES))
    path.write_bytes(b"")
    with pytest.raises(DataError, match=rf"^{path}: the file is empty"):
        list(read_blocks(folder, data_format, NAMES))
