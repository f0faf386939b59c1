from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

from pyg_nnp.data.array_files import GrowingArray, array_of_safetensors, pieces_of_safetensors
from pyg_nnp.runtime.files import write_durably


def test_safetensors_in_pieces_are_those_of_the_library(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    arrays = {
        "a": dice.normal(size=(5, 3)),
        "b": dice.normal(size=7).astype(np.float32),
        "c": np.arange(3, dtype=np.int16),
        "d": np.zeros((0, 4)),
        "e": np.arange(4, dtype=np.uint64).reshape(2, 2).T,
        "f": np.arange(5, dtype=np.int64),
        "g": np.arange(3, dtype=np.uint8),
    }
    write_durably(tmp_path / "file", pieces_of_safetensors(arrays, {"about": "é"}))
    found = load_file(tmp_path / "file")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
        np.testing.assert_array_equal(array_of_safetensors(tmp_path / "file", name), array, strict=True)
    with safe_open(tmp_path / "file", "np") as file:
        assert file.metadata() == {"about": "é"}


def test_an_array_grows_by_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    grown = GrowingArray()
    for piece in np.split(rows, [0, 2, 2, 3, 10, 49]):
        grown.append(piece)
    np.testing.assert_array_equal(grown.rows, rows, strict=True)
