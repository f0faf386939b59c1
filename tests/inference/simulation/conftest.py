from pathlib import Path

import ase.io
import morse
import pytest
from ase.build import molecule
from toy import toy_config

from pyg_nnp.config import config_from_dict
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.checkpoint import save_potential
from pyg_nnp.potential.description import TrainingDomain


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with two potentials and a structure in it."""
    monkeypatch.chdir(tmp_path)
    morse.write_morse(tmp_path / "morse")
    (tmp_path / "toy").mkdir()
    toy = build_potential(config_from_dict(toy_config()), "FF01")
    toy.domain = TrainingDomain(elements=(1, 8))
    save_potential(toy, tmp_path / "toy" / "best.safetensors", {})
    ase.io.write("water.xyz", molecule("H2O"))
    return tmp_path
