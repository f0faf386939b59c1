"""A reloaded potential is the one that was saved; damaged files of potentials are refused."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_training import run_toy

import pyg_nnp
from pyg_nnp.errors import DataError
from pyg_nnp.potential.checkpoint import read_saved, save_potential
from pyg_nnp.potential.potential import Potential


def test_a_trained_potential_and_its_reloaded_twin_agree(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in what is known only after the layers were built: which outputs no label has taught."""
    in_memory: list[Potential] = []
    state_dict = Potential.state_dict

    def remember(self: Potential, *arguments: Any, **options: Any) -> Any:
        in_memory.append(self)
        return state_dict(self, *arguments, **options)

    weights = {"rmse": {"E": 1, "Fa": 1}}
    with monkeypatch.context() as patch:
        patch.setattr(Potential, "state_dict", remember)
        path = run_toy(Path("out"), Modelhub__FF01__loss=weights, Metrics=weights)
    trained = next(potential for potential in in_memory if potential.domain.elements)
    reloaded = pyg_nnp.load_potential(path)
    assert reloaded is not trained
    assert trained.outputs == reloaded.outputs == ["E", "Ea", "Fa"]
    assert trained.domain == reloaded.domain
    assert trained.domain.shortest_distances
    assert trained.units == reloaded.units
    assert trained.configuration == reloaded.configuration
    assert trained.configuration is not None
    assert trained.dtype == reloaded.dtype
    # and saved once more it is the same again
    save_potential(reloaded, folder / "again.safetensors", {})
    assert pyg_nnp.load_potential(folder / "again.safetensors").spec.keys() == reloaded.spec.keys()


def rewritten(path: Path, **changes: object) -> None:
    """Write a potential anew with another description, whose digest is right."""
    potential = pyg_nnp.load_potential(path)
    save_potential(potential, path, changes)


def test_damaged_or_foreign_potentials_are_refused(folder: Path) -> None:
    path = run_toy(Path("out")) / "best.safetensors"
    assert pyg_nnp.load_potential(path).spec["version"] == version("pyg-nnp")
    content = path.read_bytes()
    rewritten(path, format=2)
    with pytest.raises(DataError, match="format 2 of a potential is not known"):
        pyg_nnp.load_potential(path)
    path.write_bytes(content[:-100])
    with pytest.raises(DataError, match="the saved potential is damaged"):
        pyg_nnp.load_potential(path)
    path.write_bytes((path.parent / "last.safetensors").read_bytes())
    with pytest.raises(DataError, match=r"this was saved as last.safetensors"):
        pyg_nnp.load_potential(path.parent)
    for wrong in ("out", "out/FF1-SchNet"):
        with pytest.raises(DataError, match=r"no potential here, seen from .* In out there are: out/FF01-SchNet\."):
            pyg_nnp.load_potential(wrong)
    path.unlink()
    with pytest.raises(DataError, match=r"best.safetensors: no potential here"):
        pyg_nnp.load_potential(path.parent)


@pytest.mark.parametrize("name", ["best.safetensors", "last.safetensors"])
def test_every_flipped_bit_is_noticed(folder: Path, name: str) -> None:
    path = run_toy(Path("out")) / name
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(len(content) * 8, size=100).tolist():
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=name):
            read_saved(path)
