"""What the arrays of a data file are."""

from pathlib import Path
from typing import Any

import ase.io
import pytest
from ase.build import molecule

from pyg_nnp.data.formats import ase_files
from pyg_nnp.diagnostics import contents


def test_names_of_late_frames_are_seen_and_frames_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = []
    for seed in range(12):
        atoms = molecule("H2O")
        atoms.rattle(0.05, seed=seed)
        atoms.info["REF_energy"] = -76.0 - seed
        if seed > 8:
            atoms.arrays["REF_forces"] = atoms.positions
        frames.append(atoms)
    ase.io.write(tmp_path / "some.xyz", frames, format="extxyz")
    monkeypatch.setattr(contents, "_FRAMES", 4)
    read: list[int] = []
    original = ase_files._xyz_frame

    def counted(path: Path, frame: int, lines: list[str]) -> Any:
        read.append(frame)
        return original(path, frame, lines)

    monkeypatch.setattr(ase_files, "_xyz_frame", counted)
    found = contents.contents_of(tmp_path / "some.xyz", {})
    assert {"E": "REF_energy", "Fa": "REF_forces"}.items() <= found.sources.items()
    assert found.frames.labelled == {"E": 12, "Fa": 3}
    # forces are in none of the first frames: once more for them
    assert read == [*range(4), *range(12), *range(12)]
    read.clear()
    for atoms in frames:
        atoms.arrays["REF_forces"] = atoms.positions
    ase.io.write(tmp_path / "some.xyz", frames, format="extxyz")
    contents.contents_of(tmp_path / "some.xyz", {})
    assert read == [*range(4), *range(12)]
