"""Databases of ASE."""

import sqlite3

import ase.db
import numpy as np
import pytest
from ase import Atoms
from frame_files import NAMES, TWO, make_frames, read, write_ase
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats.readers import file_names
from pyg_nnp.errors import DataError


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
    monkeypatch.setattr("pyg_nnp.data.formats.ase_database._ROWS", 2)
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
