"""Cells and total charges in the attributes of HDF5 files, which other programs read and this one does not."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from frame_files import TWO, read

from pyg_nnp.data.formats.readers import read_blocks
from pyg_nnp.data.frame_checks import Checks
from pyg_nnp.data.source import DataSource
from pyg_nnp.errors import DataError

CARBON = {"R": np.arange(12.0).reshape(2, 2, 3) / 20, "z": np.array([6, 1])}


def groups(path: Path, of_file: dict[str, Any], of_group: dict[str, Any], **more: Any) -> Path:
    """Write a file of two groups, of which the second one has attributes."""
    with h5py.File(path, "w") as file:
        file.attrs.update(of_file)
        for name in ("a", "b"):
            for key, value in (CARBON | more).items():
                file[f"{name}/{key}"] = value
        file["b"].attrs.update(of_group)
    return path


def check(path: Path) -> None:
    checks = Checks(DataSource(str(path), TWO))
    for block in read_blocks(path, "hdf5", TWO):
        checks(block)


@pytest.mark.parametrize(
    ("of_file", "of_group", "message"),
    [
        ({"pbc": True}, {}, r"frame 0 in group '/?a': the cell is periodic"),
        ({}, {"pbc": [False, False, True]}, r"frame 2 in group '/?b': the cell is periodic"),
        ({}, {"periodic": "T T T", "cell": np.eye(3) * 30}, r"frame 2 in group '/?b': the cell is periodic"),
        ({}, {"lattice": np.eye(3) * 3}, "frame 2: in its cell atom 0 has an image of atom 0 at a distance of 3,"),
        ({"box_size": [3.0, 20.0, 20.0]}, {}, "frame 0: in its cell atom 0 has an image of atom 0"),
    ],
)
def test_periodic_groups_are_refused(
    tmp_path: Path, of_file: dict[str, Any], of_group: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        check(groups(tmp_path / "a.h5", of_file, of_group))


@pytest.mark.parametrize(
    "of_group",
    [
        {"pbc": [False] * 3, "cell": np.eye(3)},
        {"cell": np.eye(3) * 30},
        {"cell": np.ones((40, 3, 3)), "note": "some text", "charge": 0},
        {"charge": np.zeros(3), "q": "neutral", "box": h5py.Empty("f8")},
    ],
)
def test_molecules_are_read(tmp_path: Path, of_group: dict[str, Any]) -> None:
    check(groups(tmp_path / "a.h5", of_group, of_group))


@pytest.mark.parametrize(
    ("of_file", "of_group", "where"),
    [
        ({}, {"charge": 1}, r"group '/?b': the attribute 'charge' is 1"),
        ({}, {"tot_charge": 1}, r"group '/?b': the attribute 'tot_charge' is 1"),
        ({}, {"total_charge": np.array([-1.0])}, r"group '/?b': the attribute 'total_charge' is -1"),
        ({}, {"net_charge": "+1"}, r"group '/?b': the attribute 'net_charge' is 1"),
        ({"Charge": 2}, {}, r"a\.h5: the attribute 'Charge' is 2"),
    ],
)
def test_total_charges_are_refused(
    tmp_path: Path, of_file: dict[str, Any], of_group: dict[str, Any], where: str
) -> None:
    path = groups(tmp_path / "a.h5", of_file, of_group)
    with pytest.raises(DataError, match=where + r", but attributes are not read\. Store it as a data set"):
        read(path, "hdf5", TWO)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"charge": 1}, r"group 'ions': the attribute 'charge' is 1, but attributes are not read"),
        ({"pbc": True}, r"frame 2 in group '/?ions(/b/1)?': the cell is periodic"),
        ({"lattice": np.eye(3) * 3}, "frame 2: in its cell atom 0 has an image of atom 0"),
        ({"pbc": False, "charge": 0, "lattice": np.eye(3) * 3}, None),
    ],
)
@pytest.mark.parametrize("has_frames", [True, False])
def test_groups_around_groups(
    tmp_path: Path, attributes: dict[str, Any], message: str | None, has_frames: bool
) -> None:
    """What they say holds for all in them, whether they have frames of their own or not."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for place in ("anions/a", "ions/b/1", "ions/b/2", *(["ions"] if has_frames else [])):
            for key, value in CARBON.items():
                file[f"{place}/{key}"] = value
        file["ions"].attrs.update(attributes)
    with pytest.raises(DataError, match=message) if message else nullcontext():
        check(path)


def test_total_charges_of_data_sets_are_those_that_are_meant(tmp_path: Path) -> None:
    path = groups(tmp_path / "a.h5", {}, {"charge": 1}, Q=1.0)
    names = TWO | {"Q": "Q"}
    assert read(path, "hdf5", names)["Q"].tolist() == [1] * 4
    with h5py.File(path, "a") as file:
        del file["a/Q"]
    (block,) = read_blocks(path, "hdf5", names, optional=["Q"])
    np.testing.assert_array_equal(block.arrays["Q"], [np.nan, np.nan, 1, 1])
    with h5py.File(path, "a") as file:
        del file["b/Q"]
    with pytest.raises(DataError, match="the attribute 'charge' is 1, but attributes are not read"):
        list(read_blocks(path, "hdf5", names, optional=["Q"]))
