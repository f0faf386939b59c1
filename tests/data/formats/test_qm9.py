"""QM9's own XYZ files."""

from pathlib import Path

import numpy as np
import pytest
from collection_files import molecules, write_qm9
from frame_files import read
from numpy.testing import assert_allclose

from pyg_nnp.data.formats.readers import columns_of, format_of
from pyg_nnp.errors import DataError

MAPPING = {"Ra": "positions", "Za": "symbols", "E": "U0", "Qa": "mulliken_charges", "Q": "smiles"}


def test_molecules_as_they_were_written(tmp_path: Path) -> None:
    frames = molecules(("H2O", "CH3CH2OH"), 3)
    path = write_qm9(tmp_path, frames)
    assert format_of(path) == "qm9"
    assert {"gdb", "U0", "Cv", "smiles"} <= set(columns_of(path))
    found = read(path, "qm9", MAPPING, 2)
    assert_allclose(found["Ra"], np.concatenate([one["Ra"] for one in frames]), atol=1e-11)
    assert_allclose(found["Qa"], np.concatenate([one["Qa"] for one in frames]), atol=1e-11)
    assert found["E"].tolist() == [one["E"] for one in frames]
    assert found["N"].tolist() == [3, 3, 3, 9, 9, 9]
    assert not found["Q"].any()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda lines: lines[:-1], "the file ends too early"),
        (lambda lines: ["0", *lines[1:]], "0 atoms"),
        (lambda lines: ["4", *lines[1:]], "the file ends too early"),
        (lambda lines: [*lines[:1], lines[1] + "\t1", *lines[2:]], "expected 'gdb', a number and 15 properties"),
        (lambda lines: [*lines[:2], "O 1.0 2.0", *lines[3:]], "inhomogeneous"),
        (lambda lines: [*lines[:2], "O a b c d", *lines[3:]], "could not convert"),
    ],
)
def test_broken_files(change: object, what: str, tmp_path: Path) -> None:
    path = write_qm9(tmp_path, molecules(("H2O",), 1))
    path.write_text("\n".join(change(path.read_text().splitlines())))  # type: ignore[operator]
    with pytest.raises(DataError, match=rf"qm9\.xyz: frame 0: this is not a molecule as QM9 has it \(.*{what}"):
        read(path, "qm9", MAPPING)
