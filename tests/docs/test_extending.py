"""docs/extending.md: what it shows is run as it stands."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import ase.build
import ase.io
import pytest
import torch
import yaml
from molecules import some_molecules
from torch_geometric.data import Batch
from toy import toy_config, write_toy

import pyg_nnp
from pyg_nnp.commands import cli
from pyg_nnp.commands import train as run
from pyg_nnp.config import config_from_dict
from pyg_nnp.errors import ConfigError
from pyg_nnp.layers.filter_table import FilterTable

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text()
MODULES = {"my_layers": "Repulsion", "my_core": "GatedCore", "my_fast_core": "TwoSums"}


def code(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    write_toy(tmp_path, names=("H2O", "CH3OH"))
    for module, content in MODULES.items():
        (text,) = (block for block in code("python") if f"class {content}" in block)
        (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for module in MODULES:
        sys.modules.pop(module, None)


def configurations() -> dict[str, dict]:
    """Return the toy configuration with the layers, and with the core, of the page."""
    layers, architecture = (yaml.safe_load(block) for block in code("yaml"))
    usual = toy_config()["Modelhub"]["FF01"]["layers"]
    without_options = [entry if entry["name"] != "Core" else {"name": "Core"} for entry in usual]
    return {
        "my_layers": toy_config(Modelhub__FF01__layers=layers["layers"]),
        **{
            module: toy_config(Modelhub__FF01__architecture=name, Modelhub__FF01__layers=without_options)
            for module, name in (("my_core", architecture["architecture"]), ("my_fast_core", "my_fast_core:TwoSums"))
        },
    }


@pytest.mark.parametrize("name", MODULES)
def test_it_trains_on_forces_and_loads_again(folder: Path, name: str) -> None:
    config = config_from_dict(configurations()[name])
    run.train(config, folder / "out")
    model = folder / "out" / config.folder_name("FF01")
    batch = Batch.from_data_list(some_molecules(torch.float32)[:1])
    batch.Za = batch.Za.clamp(max=10)
    potential = pyg_nnp.load_potential(model)
    assert potential(batch)["Fa"].abs().max() > 0


@pytest.mark.parametrize("name", MODULES)
def test_forces_are_minus_the_derivative(folder: Path, name: str) -> None:
    document = configurations()[name]
    document["Trainer"]["dtype"] = "float64"
    potential = pyg_nnp.build_potential(config_from_dict(document), "FF01").eval()
    data = some_molecules()[0]
    forces = potential(data)["Fa"]
    for axis in range(3):
        energies = []
        for step in (1e-4, -1e-4):
            moved = data.clone()
            moved.Ra[1, axis] += step
            energies.append(float(potential(moved)["E"]))
        assert -(energies[0] - energies[1]) / 2e-4 == pytest.approx(float(forces[1, axis]), rel=1e-5, abs=1e-7)


def test_repulsion_is_part_of_the_energy(folder: Path) -> None:
    potential = pyg_nnp.build_potential(config_from_dict(configurations()["my_layers"]), "FF01")
    terms = next(e["params"]["terms"] for e in potential.spec["layers"] if e["name"] == "EnergyReduce")
    assert terms == ["Ea", "Ea_repulsion", "Ea_electrostatic"]


def test_loading_never_imports(folder: Path) -> None:
    config = config_from_dict(configurations()["my_layers"])
    run.train(config, folder / "out")
    del sys.modules["my_layers"]
    with pytest.raises(ConfigError, match="Import the module 'my_layers' before you load this"):
        pyg_nnp.load_potential(folder / "out" / "FF01-SchNet")
    assert "my_layers" not in sys.modules
    module: ModuleType = importlib.import_module("my_layers")
    assert isinstance(pyg_nnp.load_potential(folder / "out" / "FF01-SchNet").layers[6], module.Repulsion)


def test_module_beside_the_configuration_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(folder)])
    (folder / "train.yaml").write_text(yaml.safe_dump(configurations()["my_core"]))
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0


def test_commands_import_what_they_are_told_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = configurations()["my_layers"]
    document["Trainer"]["report"] = True
    (folder / "train.yaml").write_text(yaml.safe_dump(document))
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 0
    ase.io.write("water.xyz", ase.build.molecule("H2O"))
    simulation = {"model": "out/FF01-SchNet", "structure": "water.xyz", "single_point": None}
    (folder / "simulate.yaml").write_text(yaml.safe_dump(simulation))
    for command in (
        ["evaluate", "out/FF01-SchNet", "dataset.pkl"],
        ["predict", "out/FF01-SchNet", "water.xyz", "-o", "predicted.xyz"],
        ["simulate", "simulate.yaml", "-o", "simulation"],
        ["report", "out"],
        ["report", "out", "out"],
    ):
        sys.modules.pop("my_layers", None)
        assert cli.main([*command, "--import", "my_layers"]) == 0, command
        assert "my_layers" in sys.modules
    del sys.modules["my_layers"]
    assert cli.main(["evaluate", "out/FF01-SchNet", "dataset.pkl"]) == 2
    assert "commands do with --import my_layers" in capsys.readouterr().err
    assert cli.main(["evaluate", "out/FF01-SchNet", "dataset.pkl", "--import", "my_layer"]) == 2
    assert "cannot import 'my_layer' of '--import my_layer'" in capsys.readouterr().err


def test_output_that_differs_from_the_declaration_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "my_layers.py").read_text()
    (folder / "my_layers.py").write_text(text.replace('return {"Ea_repulsion"', 'return {"Ea_repulsive"'))
    (folder / "train.yaml").write_text(yaml.safe_dump(configurations()["my_layers"]))
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 2
    assert "returned ['Ea_repulsive'], but declares that it writes ['Ea_repulsion']" in capsys.readouterr().err


def test_a_core_with_tables_has_the_filters_of_its_networks(folder: Path) -> None:
    """Twice as many filters as features, another activation, another cutoff function, and another radial basis."""
    document = configurations()["my_fast_core"]
    document["Trainer"]["dtype"] = "float64"
    (text,) = (block for block in code("python") if "class Bessel" in block)
    (folder / "my_basis.py").write_text(text)
    for entry in document["Modelhub"]["FF01"]["layers"]:
        entry["name"] = entry["name"].replace("GaussianSmearing", "my_basis:Bessel")
    potential = pyg_nnp.build_potential(config_from_dict(document), "FF01")
    (table,) = (module for module in potential.modules() if isinstance(module, FilterTable))
    found = []
    for exact in (False, True):
        table.exact = exact
        predicted = potential(Batch.from_data_list(some_molecules()[:3:2]))
        potential.zero_grad()
        predicted["Fa"].square().sum().backward(inputs=list(potential.parameters()))
        found.append(
            [
                predicted["E"].detach(),
                predicted["Fa"].detach(),
                *(p.grad.clone() for p in table._networks[0].parameters()),
            ]
        )
    assert table.num_rows > 0
    for tabulated, right in zip(*found, strict=True):
        assert 0 < float((tabulated - right).norm()) < 1e-6 * float(right.norm())
    sys.modules.pop("my_basis")
