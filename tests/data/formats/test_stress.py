"""Stress and virials in all forms that programs write."""

from pathlib import Path
from typing import Any

import ase.io
import h5py
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from frame_files import TWO, dump, read, save_hdf5, save_npz
from numpy.testing import assert_allclose

from pyg_nnp.data.formats.stress import is_virial, stress_of_virials
from pyg_nnp.data.source import Origin
from pyg_nnp.errors import DataError

R3, Z3 = np.arange(18.0).reshape(3, 2, 3), np.array([[6, 1]] * 3)
MATRICES = np.arange(27.0).reshape(3, 3, 3)
MATRICES = MATRICES + MATRICES.transpose(0, 2, 1)
VOIGT = np.array([[m[0, 0], m[1, 1], m[2, 2], m[1, 2], m[0, 2], m[0, 1]] for m in MATRICES])
FORMS = {"3 x 3": MATRICES, "nine": MATRICES.reshape(3, 9), "six": VOIGT}
MAPPING = TWO | {"S": "stress", "cell": "cell"}


def save_list(path: Path, **columns: Any) -> Path:
    return dump(path, [{name: rows[i] for name, rows in columns.items()} for i in range(3)])


def save_chunked(path: Path, **columns: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, rows in columns.items():
            file.create_dataset(name, data=rows, chunks=(2, *np.shape(rows)[1:]))
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("save", "data_format"),
    [(save_npz, "npz"), (save_hdf5, "hdf5"), (save_chunked, "hdf5"), (save_list, "pickle")],
)
@pytest.mark.parametrize("frames_per_block", [1, 2, 9])
def test_forms(tmp_path: Path, form: str, save: Any, data_format: str, frames_per_block: int) -> None:
    cells = np.array([np.eye(3) * 5] * 3)
    path = save(tmp_path / "a", R=R3, z=Z3, stress=FORMS[form], cell=cells)
    path = path if path.exists() else path.with_suffix(".npz")
    assert_allclose(read(path, data_format, MAPPING, frames_per_block)["S"], VOIGT)


def test_another_shape_is_refused(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "a.npz", R=R3, z=Z3, stress=np.ones((3, 5)), cell=np.eye(3) * 5)
    with pytest.raises(DataError, match=r"'stress' \(S\) has shape \(3, 5\), expected \(3, 6\)"):
        read(path, "npz", MAPPING)


@pytest.mark.parametrize("name", ["virial", "virials", "REF_virial", "dft_Virial"])
def test_virials_are_known_by_their_names(name: str) -> None:
    assert is_virial(name)
    assert not is_virial("REF_stress")
    assert not is_virial("virial_stress")
    assert not is_virial("Stress_virial")


def test_stress_of_a_virial_is_that_of_ase(tmp_path: Path) -> None:
    """Of copper by EMT, whose file has the virial as dE/dstrain with the other sign."""
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = EMT()
    stress = atoms.get_stress()
    atoms.info["virial"] = -atoms.get_stress(voigt=False) * atoms.get_volume()
    ase.io.write(tmp_path / "a.xyz", atoms)
    mapping = {"Ra": "positions", "Za": "numbers", "cell": "cell", "S": "virial"}
    assert_allclose(read(tmp_path / "a.xyz", "extxyz", mapping)["S"][0], stress, atol=1e-8)
    of_stress = read(tmp_path / "a.xyz", "extxyz", {**mapping, "S": "stress"})
    assert_allclose(of_stress["S"][0], stress, atol=1e-8)


def test_a_virial_without_volume() -> None:
    arrays = {"S": np.ones((2, 6)), "cell": np.stack([np.eye(3), np.zeros((3, 3))])}
    origin = Origin("a.xyz", {"S": "virial"}, first=7)
    with pytest.raises(DataError, match=r"a.xyz: frame 8: 'virial' \(S\) is a virial, but the frame has no volume"):
        stress_of_virials(origin, arrays)
    arrays["S"][1] = np.nan
    stress_of_virials(origin, arrays)
    assert np.isnan(arrays["S"][1]).all()
    assert arrays["S"][0].tolist() == [-1.0] * 6
