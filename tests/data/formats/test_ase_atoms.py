"""Frames from structures of ASE, in files of either kind."""

import ase.db
import ase.io
from ase.constraints import FixAtoms
from frame_files import make_frames, read, to_atoms
from numpy.testing import assert_array_equal


def test_forces_are_not_changed_by_constraints(tmp_path):
    frame = make_frames([3])[0]
    atoms = to_atoms(frame)
    atoms.set_constraint(FixAtoms([0, 1]))
    ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz", columns=["symbols", "positions", "forces", "move_mask"])
    ase.db.connect(tmp_path / "a.db").write(atoms)
    mapping = {"Ra": "positions", "Za": "numbers", "Fa": "forces"}
    for name, data_format in [("a.xyz", "extxyz"), ("a.db", "ase")]:
        assert_array_equal(read(tmp_path / name, data_format, mapping)["Fa"], frame["forces"])
