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
        ("H 0", "D 0", "frame 1: 'D' is no element. Write H for isotopes"),
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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dft_energy=-3 ", "dft_energy=-0.3D+01 "),
        ("dft_energy=-3 ", "dft_energy=-3.d0 "),
        ("O 0 0 0 1 0 0", "O .0D0 0.0D+00 0 0.1D+01 0 0"),
        ("O 0", "o 0"),
        ("H 0", "h 0"),
        ('mu="1 2 3"', 'mu="0.1D1 2.0D+00 .3d01"'),
    ],
)
def test_numbers_of_fortran_and_symbols_in_any_case(tmp_path, old, new):
    path = tmp_path / "a.xyz"
    assert old in XYZ
    path.write_text(XYZ.replace(old, new), encoding="utf-8")
    mapping = {"Ra": "positions", "Za": "symbols", "E": "dft_energy", "Fa": "dft_forces", "M2": "mu"}
    found = read(path, "extxyz", mapping)
    assert_array_equal(found["Ra"], [[0, 0, 0], [0, 0, 1]])
    assert_array_equal(found["Za"], [8, 1])
    assert_array_equal(found["E"], [-3])
    assert_array_equal(found["Fa"], [[1, 0, 0], [0, 1, 0]])
    assert_array_equal(found["M2"], [[1, 2, 3]])


def test_text_that_looks_like_numbers_of_fortran_is_left_alone(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(XYZ.replace("charge=1", "charge=1 label=3d2 file=v1.0d2.xyz"), encoding="utf-8")
    found = columns_of(path, "extxyz")
    assert found["label"][1].kind == found["file"][1].kind == "U"


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("dft_energy=-3", "dft_energy=-3 dft_energy=-4", "dft_energy"),
        ("charge=1", 'charge=1 note="a=1 b=2" charge = 2', "charge"),
        ("q:R:1", "dft_energy:R:1", "dft_energy"),  # an array of the atoms, and a number
        ("charge=1", 'charge=1 positions="1 2 3"', "positions"),
    ],
)
def test_names_that_are_there_twice(tmp_path, old, new, name):
    path = tmp_path / "a.xyz"
    path.write_text(XYZ + XYZ.replace(old, new), encoding="utf-8")
    field = {"dft_energy": "E", "charge": "Q", "positions": "Ra"}[name]
    mapping = {"Ra": "positions", "Za": "numbers", field: name}
    with pytest.raises(DataError, match=rf"frame 1: '{name}' \({field}\) is there twice, with different values\."):
        read(path, "extxyz", mapping)
    if field != "Ra":
        del mapping[field]
        assert_array_equal(read(path, "extxyz", mapping)["N"], [2, 2])  # what is not read does no harm


@pytest.mark.parametrize("key", ["Properties=species:S:1", 'Lattice="9 0 0 0 9 0 0 0 9"', 'pbc="F F F"'])
def test_keys_of_the_structure_that_are_there_twice(tmp_path, key):
    path = tmp_path / "a.xyz"
    path.write_text(
        XYZ.replace("Properties=species:S:1:pos:R:3:dft_forces:R:3:q:R:1", f"{key} {key}"), encoding="utf-8"
    )
    with pytest.raises(DataError, match=rf"frame 0: '{key.partition('=')[0]}' is there twice\. Remove one"):
        read(path, "extxyz", {"Ra": "positions", "Za": "numbers"})


def test_the_same_value_twice_in_a_database(tmp_path):
    """As with SchNetPack, which keeps arrays, and energies of a calculator beside them."""
    mapping = {"Ra": "positions", "Za": "numbers", "E": "energy"}
    for i, (stored, is_same) in enumerate([(np.float32(-0.1), True), ([-0.1], True), ([[-0.1]], True), (-0.2, False)]):
        frame = make_frames([2])[0] | {"energy": -0.1}
        path = tmp_path / f"{i}.db"
        ase.db.connect(path).write(to_atoms(frame), data={"energy": np.asarray(stored)})
        if is_same:
            assert read(path, "ase", mapping)["E"] == pytest.approx([-0.1])
        else:
            with pytest.raises(DataError, match=r"frame 0: 'energy' \(E\) is there twice"):
                read(path, "ase", mapping)


def test_columns_that_nothing_names(tmp_path):
    """Forces beside the positions of a plain XYZ file are an array that can be mapped."""
    path = tmp_path / "plain.xyz"
    atoms = "O 0 0 0 0.1 0.2 0.3\nH 0 0 1 -1.0D-01 -2.D-1 -0.3\n"
    path.write_text(f"2\nTotEnergy=-75.5 E0=-13\n{atoms}" * 2)
    names = {"Ra": "positions", "Za": "numbers", "E": "TotEnergy", "Fa": "columns_5_to_7"}
    assert set(names.values()) <= set(columns_of(path))
    (block,) = read_blocks(path, "extxyz", names)
    assert block.arrays["E"].tolist() == [-75.5, -75.5]
    np.testing.assert_allclose(block.arrays["Fa"], [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]] * 2)
    # one more number for each atom, and texts, which are no field
    path.write_text("1\nenergy=1\nH 0 0 0 0.5\n")
    assert "columns_5_to_5" in columns_of(path)
    path.write_text("1\nenergy=1\nH 0 0 0 0.5 frozen\n")
    assert not any(name.startswith("columns") for name in columns_of(path))


@pytest.mark.parametrize(
    ("properties", "what"),
    [
        ("species:S:1:pos:R:3", "Properties names 4 columns, but the first atom has 7 values"),
        ('"species:S:1:pos:R:3"', "Properties names 4 columns, but the first atom has 7 values"),
        ("species:S:1:pos:R:3:mtt::aux:R:3", "is no list of NAME:TYPE:COLUMNS, joined by colons"),
        ("species:S:1:pos:R", "is no list of NAME:TYPE:COLUMNS"),
    ],
)
def test_columns_that_are_not_there(tmp_path, properties, what):
    path = tmp_path / "a.xyz"
    path.write_text(f"1\nenergy=1 Properties={properties}\nH 0 0 0 1 2 3\n")
    with pytest.raises(DataError, match=f"frame 0: .*{what}"):
        columns_of(path)


@pytest.mark.parametrize("key", ["properties", "PROPERTIES"])
def test_columns_that_are_named_in_another_case(tmp_path, key):
    """ASE would take the first four columns, and leave out the names of the others without a word."""
    path = tmp_path / "a.xyz"
    for quote in ("", '"'):
        path.write_text(f"1\nenergy=1 {key}={quote}species:S:1:pos:R:3:forces:R:3{quote}\nH 0 0 0 1 2 3\n")
        with pytest.raises(DataError, match=f"frame 0: write 'Properties' in place of '{key}'"):
            columns_of(path)
    path.write_text(f"1\nenergy=1 {key}=energy,forces\nH 0 0 0 1 2 3\n")
    assert "columns_5_to_7" in columns_of(path)


LATTICE = 'Lattice="9 0 0 0 9 0 0 0 9"'


@pytest.mark.parametrize(
    "pbc", ["TTF", "FFF", '"t t f"', "none", "None", "off", '"p p f"', '"(T T F)"', '"[T, T, F]"', '"T T"', '""', "2"]
)
def test_periodic_directions_that_ase_misreads(tmp_path, pbc):
    """Any text is true for it."""
    path = tmp_path / "a.xyz"
    for lattice in (LATTICE, ""):
        path.write_text(f"1\nenergy=1 {lattice} pbc={pbc}\nH 0 0 0\n")
        with pytest.raises(DataError, match=r"a.xyz: frame 0: 'pbc' is '.*', which ASE misreads. Write T or F"):
            columns_of(path)


@pytest.mark.parametrize(
    ("pbc", "directions"),
    [
        ('"T T F"', [1, 1, 0]),
        ('"T, T, F"', [1, 1, 0]),
        ("[T T F]", [1, 1, 0]),
        ("{T T F}", [1, 1, 0]),
        ('"1 1 0"', [1, 1, 0]),
        ('"True true False"', [1, 1, 0]),
        ('"_JSON [true, true, false]"', [1, 1, 0]),
        ("T", [1, 1, 1]),
        ("0", [0, 0, 0]),
        ("FALSE", [0, 0, 0]),
    ],
)
def test_periodic_directions_that_ase_reads(tmp_path, pbc, directions):
    path = tmp_path / "a.xyz"
    path.write_text(f"1\nenergy=1 {LATTICE} pbc={pbc}\nH 0 0 0\n")
    assert read(path, "extxyz", {"Ra": "positions", "Za": "numbers", "cell": "cell"})["pbc"].tolist() == [directions]


@pytest.mark.parametrize("key", ["PBC", "Pbc"])
def test_periodic_directions_that_are_named_in_another_case(tmp_path, key):
    path = tmp_path / "a.xyz"
    path.write_text(f'1\nenergy=1 {LATTICE} {key}="F F F"\nH 0 0 0\n')
    with pytest.raises(DataError, match=f"a.xyz: frame 0: write 'pbc' in place of '{key}'"):
        columns_of(path)
    path.write_text(f'1\nenergy=1 {key}="F F F"\nH 0 0 0\n')  # a molecule anyway
    assert key in columns_of(path)


@pytest.mark.parametrize("name", ["virial", "stress", "Lattice"])
@pytest.mark.parametrize("value", ["1 2 3 4 5 6", "[[1, 0, 0], [0, 1, 0], [0, 0, 1]]", "9 9 9"])
def test_what_ase_reads_of_nine_numbers_alone(tmp_path, name, value):
    path = tmp_path / "a.xyz"
    path.write_text(f'1\n{name}="{value}"\nH 0 0 0\n')
    order = "the three lattice vectors" if name == "Lattice" else f"xx xy xz .* another name, such as REF_{name}"
    with pytest.raises(DataError, match=f"a.xyz: frame 0: '{name}' has to be nine numbers in quotes: {order}"):
        columns_of(path)


def test_numbers_in_the_column_of_symbols(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text("1\nProperties=species:I:1:pos:R:3\n1 0 0 0\n")
    with pytest.raises(DataError, match=r"a.xyz: frame 0: write 'Z:I:1' in place of 'species:I:1'"):
        columns_of(path)
    path.write_text("1\nProperties=Z:I:1:pos:R:3\n1 0 0 0\n")
    assert read(path, "extxyz", {"Ra": "positions", "Za": "numbers"})["Za"].tolist() == [1]


@pytest.mark.parametrize("key", ["lattice", "LATTICE"])
def test_lattice_vectors_that_are_named_in_another_case(tmp_path, key):
    """ASE would take the crystal for a molecule without a word."""
    path = tmp_path / "a.xyz"
    path.write_text(f'1\nenergy=1 {key}="9 0 0 0 9 0 0 0 9"\nH 0 0 0\n')
    with pytest.raises(DataError, match=f"a.xyz: frame 0: write 'Lattice' in place of '{key}'"):
        columns_of(path)
    path.write_text(f"1\nenergy=1 {key}=fcc\nH 0 0 0\n")
    assert key in columns_of(path)
