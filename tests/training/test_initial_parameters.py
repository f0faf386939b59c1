"""Weights that are suited to the data: once, before the first step of a new training, and never again."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from molecules import make_data
from torch import Tensor
from torch_geometric.data import Batch
from toy import toy_config, write_config
from toy_training import train_toy

from pyg_nnp.commands import cli
from pyg_nnp.layers.cores import CartesianCore
from pyg_nnp.potential.checkpoint import load_potential, read_saved
from pyg_nnp.potential.potential import Potential
from pyg_nnp.training import train_model
from pyg_nnp.training.initial_parameters import output_scales
from pyg_nnp.training.state import TrainingData, TrainingState
from pyg_nnp.units import BOHR_IN_ANGSTROM


def begun(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[Potential, TrainingData]:
    """Return the potential of the toy, and its data, as they are before the first step."""
    found: list[tuple[Potential, TrainingData]] = []

    def interrupted(state: TrainingState, data: TrainingData, *_: object) -> None:
        found.append((state.potential, data))
        raise KeyboardInterrupt

    monkeypatch.setattr(train_model, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_toy("out", Modelhub__FF01__architecture="Cartesian", **changes)
    return found[0]


def of_training(data: TrainingData, name: str) -> np.ndarray:
    return data.dataset.batch(data.parts["training"])[name].double().numpy()


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def test_outputs_have_the_size_of_forces_and_charges(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    potential, data = begun(monkeypatch)
    forces, charges = (rms(of_training(data, name)) for name in ("Fa", "Qa"))
    (core,) = (layer for layer in potential.layers if isinstance(layer, CartesianCore))
    assert core.scales.tolist() == pytest.approx([forces, charges], rel=1e-5)
    # if they were in Hartree/Bohr, they would make as many times more of 1 Å as it has Bohr
    potential.spec["build_params"] = {"Hartree_in_E": 1, "Bohr_in_R": 1}
    assert output_scales(potential, data) == pytest.approx((forces / BOHR_IN_ANGSTROM, charges), rel=1e-6)


@pytest.mark.parametrize("targets", [("E",), ("Qa",), ("M2",)])
def test_outputs_without_forces(folder: Path, monkeypatch: pytest.MonkeyPatch, targets: tuple[str, ...]) -> None:
    """Energies per atom, less references; and where nothing is known, 1."""
    known = toy_config()["Datahub"]
    changes = {
        "Datahub__targets": {name: known["targets"][name] for name in targets},
        "Datahub__transforms": {"atomic_energy": "atomic_energy.csv"} if targets == ("E",) else {},
        "Modelhub__FF01__loss": {"rmse": dict.fromkeys(targets, 1)},
        "Metrics": {"rmse": dict.fromkeys(targets, 1)},
    }
    potential, data = begun(monkeypatch, **changes)
    # water: energies of its atoms are a constant, and so no part of what differs
    energy = np.std(of_training(data, "E") / 3) if "E" in targets else 1.0
    charge = rms(of_training(data, "Qa")) if "Qa" in targets else 1.0
    assert output_scales(potential, data) == pytest.approx((energy, charge), rel=1e-6)


def test_labels_that_are_missing_or_0_have_no_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    potential, data = begun(monkeypatch)
    forces, charges = data.dataset._frames.values["Fa"], data.dataset._frames.values["Qa"]
    forces[0] = float("nan")
    squares = of_training(data, "Fa") ** 2
    assert output_scales(potential, data)[0] == pytest.approx(np.sqrt(np.nanmean(squares)), rel=1e-6)
    forces.fill_(float("nan"))
    charges.zero_()
    energy, charge = output_scales(potential, data)
    assert energy == pytest.approx(np.std(of_training(data, "E") / 3), rel=1e-6)
    assert charge == 1.0


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_training_is_the_same_in_all_units(folder: Path, optimizer: str) -> None:
    """Of energies in Hartree and in 1/1024 Hartree, a power of two, predictions differ by that factor, to the bit."""
    found = {}
    for unit in (1.0, 1024.0):
        with Path("dataset.pkl").open("rb") as file:
            frames = pickle.load(file)
        for frame in frames:
            frame |= {name: frame[name] * unit for name in ("energy", "forces")}
        Path(f"{unit:g}.pkl").write_bytes(pickle.dumps(frames))
        config = toy_config()
        layers = [entry for entry in config["Modelhub"]["FF01"]["layers"] if entry["name"] != "AtomicAffine"]
        weights = {"rmse": {"E": 1 / unit, "Fa": 1 / unit, "Qa": 1, "M2": 1}}
        train(
            f"out {unit:g}",
            Datahub__data_path=f"{unit:g}.pkl",
            Datahub__transforms={"atomic_energy": "fit", "negative_gradient": True},
            Modelhub__FF01__build_params=config["Modelhub"]["FF01"]["build_params"] | {"Hartree_in_E": unit},
            Modelhub__FF01__layers=layers,
            Modelhub__FF01__loss=weights,
            Metrics=weights,
            Trainer__optimizer=optimizer,
        )
        potential = load_potential(f"out {unit:g}/FF01-Cartesian")
        positions = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
        batch = Batch.from_data_list([make_data([8, 1, 1], positions)])
        potential.set_references(torch.zeros(119, dtype=torch.float64), 0.0)
        found[unit] = potential(batch)
    assert torch.equal(found[1024.0]["Fa"], 1024 * found[1.0]["Fa"])
    assert torch.equal(found[1024.0]["E"], 1024 * found[1.0]["E"])
    assert torch.equal(found[1024.0]["Qa"], found[1.0]["Qa"])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of atoms of each sample."""
    found: list[int] = []
    initialise = CartesianCore.initialise

    def counted(core: CartesianCore, **fields: Tensor) -> None:
        found.append(len(fields["x"]))
        initialise(core, **fields)

    monkeypatch.setattr(CartesianCore, "initialise", counted)
    return found


def train(out: str, **changes: object) -> dict[str, Tensor]:
    write_config(Path(), toy_config(Modelhub__FF01__architecture="Cartesian", **changes))
    resume = ["--resume"] if Path(out).exists() else []
    assert cli.main(["train", "train.yaml", "-o", out, *resume]) == 0
    return read_saved(Path(out) / "FF01-Cartesian" / "last.safetensors")[1]


def test_weights_are_suited_once(folder: Path, calls: list[int]) -> None:
    """A training that is resumed when it is over, and one that begins with the parameters of another, do not do it."""
    first = train("out", Trainer__max_epochs=1)
    neighbors = [value for name, value in first.items() if name.endswith("num_neighbors")]
    assert calls == [30]  # ten molecules of water
    assert [float(n) for n in neighbors] == [2.0]
    again = train("out", Trainer__max_epochs=1)
    assert all(torch.equal(first[name], value) for name, value in again.items() if name.startswith("layers."))
    other = train("other", Trainer__max_epochs=1, Modelhub__FF01__pretrained="out/FF01-Cartesian")
    assert len(calls) == 1
    (scales,) = (name for name in first if name.endswith(".scales"))
    assert torch.equal(other[scales], first[scales])


def test_averages_begin_with_the_weights_that_suit_the_data(
    folder: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[TrainingState] = []

    def interrupted(state: TrainingState, *_: object) -> None:
        states.append(state)
        raise KeyboardInterrupt

    monkeypatch.setattr(train_model, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_toy("out", Modelhub__FF01__architecture="Cartesian", Trainer__ema=0.99)
    assert len(calls) == 1
    (state,) = states
    assert state.averages is not None
    for value, parameter in zip(state.averages._values, state.potential.parameters(), strict=True):
        assert torch.equal(value, parameter)
