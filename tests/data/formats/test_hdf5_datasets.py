"""Links and damage in HDF5 files."""

import h5py
import pytest
from frame_files import R2, TWO, read, save_hdf5
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats.readers import columns_of
from pyg_nnp.errors import DataError


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


def test_what_is_in_other_files_is_not_even_looked_at(tmp_path):
    """The shape of a virtual data set may be that of another file, which would be opened for it."""
    save_hdf5(tmp_path / "other.h5", R=R2)
    path = save_hdf5(tmp_path / "a.h5", z=[6, 1])
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout(R2.shape, "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "R", R2.shape)
        file.create_virtual_dataset("R", layout)
    columns = columns_of(path)
    assert columns["R"][:2] == ((), "O")
    assert columns["z"][0] == (2,)
