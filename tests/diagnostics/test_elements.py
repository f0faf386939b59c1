"""Numbers of types that stand in place of atomic numbers are told."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import molecule
from frame_files import save_npz

from pyg_nnp.diagnostics.elements import check_elements
from pyg_nnp.diagnostics.first_config import first_config
from pyg_nnp.errors import DataError

ETHANOL = molecule("CH3CH2OH")
PAIRS = (~torch.eye(len(ETHANOL), dtype=torch.bool)).nonzero().T


def told(types: dict[int, int], scale: float = 1.0, bohr: float | None = None) -> list[str]:
    """Return what is told of ethanol with other atomic numbers."""
    frames = {
        "Ra": torch.from_numpy(ETHANOL.positions) * scale,
        "Za": torch.tensor([types[Z] for Z in ETHANOL.numbers.tolist()]),
        "edge_index": PAIRS,
    }
    return [str(finding) for finding in check_elements("a.npz", "types", frames, bohr)]


@pytest.mark.parametrize("types", [{1: 1, 6: 2, 8: 3}, {6: 1, 1: 2, 8: 3}, {1: 1, 6: 2, 8: 4}, {1: 2, 6: 3, 8: 5}])
def test_numbers_of_types(types: dict[int, int]) -> None:
    assert "(Za) has" in told(types)[0]
    assert "helium nearer than 1.4 Å to other atoms" in told(types)[0]
    assert told(types) == told(types, 1 / 0.529177, 1.0)


def test_elements_are_no_types() -> None:
    assert not told({1: 1, 6: 6, 8: 8})
    # far from each other, as in a gas
    assert not told({1: 1, 6: 2, 8: 2}, 4.0)
    assert not told({1: 2, 6: 10, 8: 18}, 4.0)
    # all 1, 2, 3, at whatever distance
    (said,) = told({1: 1, 6: 2, 8: 3}, 4.0)
    assert said.startswith("a.npz: 'types' (Za) has H, He, Li. Are these numbers of types? Give atomic numbers")


def test_all_elements_are_no_types() -> None:
    frames = {"Ra": torch.zeros(94, 3), "Za": torch.arange(1, 95), "edge_index": PAIRS}
    assert not check_elements("a.npz", "types", frames, None)


def test_init_warns_of_types_and_refuses_what_is_no_element(tmp_path: Path) -> None:
    arrays = {"pos": np.tile(ETHANOL.positions, (4, 1, 1)), "energy": np.arange(4.0)}
    types = np.array([{1: 1, 6: 2, 8: 3}[Z] for Z in ETHANOL.numbers])
    _, guesses = first_config(save_npz(tmp_path / "a.npz", **arrays, types=types), {"Za": "types"})
    assert any("(Za) has H, He, Li, helium nearer" in guess for guess in guesses)
    for wrong in (-128, 119):
        path = save_npz(tmp_path / "b.npz", **arrays, types=np.where(types == 3, wrong, types))
        with pytest.raises(DataError, match=rf"'types' \(Za\) has {wrong}; elements go from 1 \(H\) to 118 \(Og\)"):
            first_config(path, {"Za": "types"})
