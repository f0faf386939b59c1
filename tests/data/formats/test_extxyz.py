"""Extended XYZ files."""

import pytest
from frame_files import read
from numpy.testing import assert_array_equal

from pyg_nnp.data.formats.readers import file_names, read_blocks
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
    assert {"numbers", "positions", "dft_energy", "charge"} <= set(file_names(path, "extxyz"))


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
