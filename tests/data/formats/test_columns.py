"""Columns of any shape, and messages where they do not fit together."""

import h5py
import numpy as np
import pytest
from frame_files import (
    NAMES,
    R2,
    TWO,
    WRITERS,
    assert_same,
    dump,
    expected_arrays,
    make_frames,
    padded,
    read,
    save_hdf5,
    save_npz,
    write_hdf5_grouped,
)
from numpy.testing import assert_array_equal

from pyg_nnp.errors import DataError


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


def test_frames_padded_alike_in_a_list(tmp_path):
    columns = padded(make_frames([2, 3]))
    frames = [{source: columns[source][i] for source in columns} for i in range(2)]
    path = dump(tmp_path / "a.pkl", frames)
    assert_same(read(path, "pickle", NAMES), expected_arrays(make_frames([2, 3])))


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
