"""A reloaded potential is the one that was saved, files of older versions are read, damaged ones are refused."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_systems import of_molecules
from molecules import core_of, some_molecules
from torch import Tensor
from toy_training import run_toy

import pyg_nnp
from pyg_nnp.errors import DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.layers import Core, Distance
from pyg_nnp.layers.cores import CORES
from pyg_nnp.potential.build import build_layers
from pyg_nnp.potential.checkpoint import own_copy, read_saved, save_potential, sealed, start_from
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


def as_of_before(path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Write the file of a potential as an older version did."""
    description, tensors = read_saved(path)
    del description["sha256"]
    path.write_bytes(sealed(description, change(description, tensors))[0])


def test_rows_of_tables_that_older_versions_saved_are_read(folder: Path) -> None:
    path = run_toy(Path("out")) / "last.safetensors"
    found = []

    def rows_alone(description: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        (name,) = (name for name in tensors if name.endswith("filter_table._extra_state"))
        found.append(int(tensors[name][0]))
        rows = {name.replace("filter_table.", ""): tensors.pop(name)[0].long()}
        return tensors | rows

    before = pyg_nnp.load_potential(path)
    as_of_before(path, rows_alone)
    potential = pyg_nnp.load_potential(path)
    assert found[0] == core_of(potential).filter_table.num_rows > 0
    for name, value in before.named_parameters():
        assert torch.equal(value, potential.get_parameter(name))
    assert start_from(potential, path)[1] == []


class Charges(Core):
    """Charges of the elements, learned, and no pairs."""

    reads = ("Za",)
    writes = ("Qa",)

    def __init__(self) -> None:
        super().__init__()
        self.charges = torch.nn.Parameter(torch.linspace(-1, 1, 119))

    def forward(self, Za: Tensor) -> dict[str, Tensor]:
        return {"Qa": self.charges[Za]}


def test_potentials_that_older_versions_saved_without_distance_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CORES, "Charges", Charges)
    entries = [("Core", {}), ("ElectrostaticEnergy", {}), ("EnergyReduce", {}), ("Force", {})]
    layers, built = build_layers("Charges", {"cutoff_sr": 4.0, "Hartree_in_E": 1.0, "Bohr_in_R": 0.529}, entries)
    potential, path = (
        Potential(layers, {"architecture": "Charges", "layers": built}).eval(),
        tmp_path / "any.safetensors",
    )
    save_potential(potential, path, {})

    def without_distance(description: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        assert description["layers"].pop(0)["name"] == "Distance"
        return {name.replace("layers.1.", "layers.0."): value for name, value in tensors.items()}

    as_of_before(path, without_distance)
    loaded, data = pyg_nnp.load_potential(path), some_molecules(torch.float32)[0]
    assert isinstance(loaded.layers[0], Distance)
    assert torch.equal(loaded(data)["Fa"], potential(data)["Fa"])
    assert float(loaded(data)["Fa"].abs().max()) > 1e-3


def test_an_own_copy_is_in_evaluation_mode() -> None:
    potential = of_molecules().train()
    own = own_copy(potential, "cpu", None)
    assert own is not potential
    assert not own.training
    assert potential.training
    assert own.dtype == torch.float64
    with torch.no_grad():
        next(potential.parameters()).fill_(0.0)
    assert next(own.parameters()).abs().min() > 0


@pytest.mark.parametrize("dtype", ["float32", torch.float32])
def test_a_file_in_another_precision(dtype: str | torch.dtype, tmp_path: Path) -> None:
    save_potential(of_molecules(), tmp_path / "best.safetensors", {})
    own = own_copy(tmp_path, torch.device("cpu"), dtype)
    assert {parameter.dtype for parameter in own.parameters()} == {torch.float32}


@pytest.mark.parametrize("dtype", ["float16", "floaty", torch.float16, torch.int64])
def test_another_precision_is_refused(dtype: str | torch.dtype) -> None:
    with pytest.raises(DataError, match=rf"^dtype: {dtype} is no precision of a potential. Choose float32, float64"):
        PotentialCalculator(of_molecules(), dtype=dtype)


@pytest.mark.parametrize("device", ["xyz", "cpu:x", "cuda:17"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(DataError, match=rf"^device: '{device}' cannot be used here \(.+\). Choose another"):
        PotentialCalculator(of_molecules(), device=device)
