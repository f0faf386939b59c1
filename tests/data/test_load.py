from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyg_nnp.data import MoleculeDataset

Frame = dict[str, Any]
MakeStore = Callable[..., Path]


def test_frames_stay_in_the_store_where_memory_is_short(
    frames: list[Frame], make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_store(frames)
    rows = 7 * (3 + 3 + 1) * 4 + 4 * (3 + 1) * 4 + 7 * 8 + 4 * 8  # Ra, Fa, Qa; M2, Q; Za; E
    for available, in_memory in ((2 * rows, True), (2 * rows - 2, False)):
        monkeypatch.setattr("pyg_nnp.data.load.available_memory", lambda available=available: available)
        dataset = MoleculeDataset(folder)
        assert dataset.in_memory == in_memory
        assert dataset.copy([0]).in_memory
        assert MoleculeDataset(folder, in_memory=True).in_memory
        assert not MoleculeDataset(folder, in_memory=False).in_memory
