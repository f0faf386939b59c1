"""Files that ASE reads."""

import sqlite3

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms
from frame_files import NAMES, TWO, make_frames, read, to_atoms, write_ase
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats.readers import columns_of, read_blocks
from pyg_nnp.errors import DataError

XYZ = """\
2
Properties=species:S:1:pos:R:3:dft_forces:R:3:q:R:1 dft_energy=-3 charge=1 mu="1 2 3"
O 0 0 0 1 0 0 -0.5
H 0 0 1 0 1 0 0.5
"""


def test_extxyz_columns_and_keys_of_any_name(tmp_path):
    path = tmp_path / "a@1.xyz"  # ASE takes what follows @ for frame numbers
    path.write_text(XYZ + "\n\n" + XYZ.replace("-3", "-3.25") + "\n", encoding="utf-8")
    mapping = {"Ra": "positions", "Za": "symbols", "N": "natoms", "Q": "charge"}
    found = read(path, "extxyz", mapping | {"E": "dft_energy", "Fa": "dft_forces", "Qa": "q", "M2": "mu"}, 1)
    assert_array_equal(found["E"], [-3, -3.25])  # also after blank lines, at which ASE stops
    assert_array_equal(found["Za"], [8, 1] * 2)
    assert_array_equal(found["Fa"], [[1, 0, 0], [0, 1, 0]] * 2)
    assert_array_equal(found["Qa"], [-0.5, 0.5] * 2)
    assert_array_equal(found["M2"], [[1, 2, 3]] * 2)
    assert {"numbers", "positions", "dft_energy", "charge"} <= set(columns_of(path, "extxyz"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("H 0 0 1 0 1 0 0.5\n", "", "frame 1: the file ends before the last of 2 atoms"),
        ("H 0 0 1 0 1 0 0.5\n", "H 0 0\n", r"frame 1: ASE cannot read it \("),
        ("H 0", "Xx 0", "frame 1: 'Xx' is no element"),
        ("H 0 0 1", "H 0 0 one", r"frame 1: ASE cannot read it \(.*one"),
        ("2\n", "3\n", "frame 1: the file ends before the last of 3 atoms"),
        ("2\n", "two\n", "frame 1: expected the number of atoms, found 'two'"),
        ("2\n", "1\n", "frame 2: expected the number of atoms, found 'H 0 0 1 0 1 0 0.5'"),
        ("dft_energy", "energy", r"frame 1: there is no 'dft_energy' \(E\)\. Did you mean 'energy'\?"),
        ("2\n", "-2\n", "frame 1: expected the number of atoms, found '-2'"),
    ],
)
def test_a_broken_extxyz_frame_is_named(tmp_path, old, new, message):
    path = tmp_path / "a.xyz"
    path.write_text(XYZ + XYZ.replace(old, new, 1), encoding="utf-8")
    for frames_per_block in (1, 10):
        with pytest.raises(DataError, match=rf"^{path}: {message}"):
            read(path, "extxyz", {"Ra": "positions", "Za": "numbers", "E": "dft_energy"}, frames_per_block)


def test_extxyz_is_read_frame_by_frame(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(XYZ * 3 + "nonsense", encoding="utf-8")
    blocks = read_blocks(path, "extxyz", {"Ra": "positions", "Za": "numbers"}, 2)
    assert next(blocks).num_frames == 2
    with pytest.raises(DataError, match="frame 3"):
        next(blocks)


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
    monkeypatch.setattr("pyg_nnp.data.formats.ase_files._ROWS", 2)
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
    assert list(columns_of(path, "ase")) == []


def test_forces_are_not_changed_by_constraints(tmp_path):
    frame = make_frames([3])[0]
    atoms = to_atoms(frame)
    atoms.set_constraint(FixAtoms([0, 1]))
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz", columns=["symbols", "positions", "forces", "move_mask"])
    ase.db.connect(tmp_path / "a.db").write(atoms)
    mapping = {"Ra": "positions", "Za": "numbers", "Fa": "forces"}
    for name, data_format in [("a.xyz", "extxyz"), ("a.db", "ase")]:
        assert_array_equal(read(tmp_path / name, data_format, mapping)["Fa"], frame["forces"])
