"""The training loop: schedule, early stopping, order of frames, and what a run leaves."""

import csv
import json
import math
import pickle
import re
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from molecules import make_data
from rich.console import Console
from safetensors.torch import load_file
from torch_geometric.data import Batch
from toy import toy_config, write_config, write_toy

import pyg_nnp
from pyg_nnp.commands import cli
from pyg_nnp.commands import train as run
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.potential.checkpoint import read_saved, save_potential
from pyg_nnp.runtime import logs
from pyg_nnp.training import fit as training
from pyg_nnp.training.fit import large_batch
from pyg_nnp.training.metrics import evaluate, weighted_sum
from pyg_nnp.training.state import Best, Progress, Training
from pyg_nnp.training.step import Gradients, TrainingError, rate_schedule, train_epoch


def test_linear_schedule_by_hand() -> None:
    share = rate_schedule("linear", 11, 0.2)
    assert [share(step) for step in range(3)] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert share(6) == pytest.approx(0.5)
    assert share(10) == 0.0
    assert share(11) == 0.0  # asked for once more than there are steps


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_a_run_begins_with_a_step_and_reaches_the_rate(name: str, steps: int, warmup: float) -> None:
    shares = [rate_schedule(name, steps, warmup)(step) for step in range(steps)]
    assert shares[0] > 0
    assert max(shares) == 1
    assert steps == 1 or shares[-1] == (1 if name == "constant" else pytest.approx(0))


def test_other_schedules_by_hand() -> None:
    cosine, constant = (rate_schedule(name, 101, 0.0) for name in ("cosine", "constant"))
    assert [cosine(0), cosine(50), cosine(100)] == pytest.approx([1.0, 0.5, 0.0])
    assert {constant(0), constant(50), constant(100)} == {1.0}


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
def test_schedules_stay_between_0_and_1(name: str, steps: int, warmup: float) -> None:
    share = rate_schedule(name, steps, warmup)
    assert all(0 <= share(step) <= 1 for step in range(steps + 1))


def test_a_score_that_is_not_finite_is_no_improvement() -> None:
    best = Best(patience=3)
    assert not best.improves(math.nan, 1)
    assert not best.improves(math.inf, 2)
    assert not best.improves(-math.inf, 2)
    assert best.improves(5.0, 3)
    assert not best.improves(math.nan, 4)
    assert not best.improves(5.0, 5)
    assert not best.exhausted(5)
    assert best.exhausted(6)
    assert (best.score, best.epoch) == (5.0, 3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_toy(out: Path, **changes: object) -> Path:
    config = config_from_dict(toy_config(**changes))
    run.train(config, out)
    return out / config.folder_name("FF01")


def history(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_a_run_leaves_everything(folder: Path) -> None:
    assert cli.main(["train", str(write_config(folder)), "-o", "out"]) == 0
    out = folder / "out"
    model = out / "FF01-SchNet"
    assert {path.name for path in model.iterdir()} == {
        "best.safetensors",
        "last.safetensors",
        "history.csv",
        "metrics.json",
        ".lock",
    }
    assert pyg_nnp.load_config(out / "config.yaml") == pyg_nnp.load_config(folder / "train.yaml")
    assert len(list(out.glob("processed_dataset_*/dataset.h5"))) == 1
    (log,) = (out / "logs").iterdir()
    text = log.read_text()
    for expected in (
        "torch 2.",
        "frames",
        "Fa",
        "Hartree/Å",
        "epoch 3",
        "patience",
        "test part: RMSE: E ",
        "data_path",
    ):
        assert expected in text, expected
    rows = history(model)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[0].keys() >= {"training_loss", "validation_loss", "score", "rmse_E", "rmse_Fa", "rmse_Q"}
    metrics = json.loads((model / "metrics.json").read_text())
    assert metrics["best_epoch"] == 1 + min(range(3), key=lambda i: rows[i]["score"])
    assert metrics["validation"]["score"] == pytest.approx(min(row["score"] for row in rows), rel=1e-6)


def test_saved_potential_gives_the_printed_metrics(folder: Path) -> None:
    model = run_toy(Path("out"))
    config = pyg_nnp.load_config("out/config.yaml")
    dataset = MoleculeDataset.from_config(config, "out")
    parts = pyg_nnp.data.split_dataset(config.Trainer.Splitter, len(dataset), dataset.hash, dataset.folder)
    potential = pyg_nnp.load_potential(model)
    errors = evaluate(potential, dataset.batches(parts["test"], 100), config.Metrics)
    expected = json.loads((model / "metrics.json").read_text())["test"]
    for name, value in errors["rmse"].items():
        assert value == pytest.approx(expected["rmse"][name], rel=1e-5)
    assert weighted_sum(errors, config.Metrics) == pytest.approx(expected["score"], rel=1e-5)


def test_predicted_energies_are_total_energies(folder: Path) -> None:
    """Reference energies come back in, in double precision: what remains is what the network predicts."""
    model = run_toy(Path("out"), Modelhub__FF01__loss={"rmse": {"E": 1}}, Trainer__max_epochs=30)
    dataset = MoleculeDataset.from_config(pyg_nnp.load_config("out/config.yaml"), "out")
    predicted = pyg_nnp.load_potential(model)(dataset.batch(torch.arange(5)))
    assert predicted["E"].dtype == torch.float64
    assert float((predicted["E"] - dataset.E[:5]).abs().max()) < 2.0
    assert float(dataset.E.mean()) < -75.0


def test_training_learns(folder: Path) -> None:
    rows = history(run_toy(Path("out"), Trainer__max_epochs=40))
    assert rows[-1]["rmse_Fa"] < 0.5 * rows[0]["rmse_Fa"]


def test_two_runs_with_one_seed_give_the_same_bits(folder: Path) -> None:
    first, second, other = (
        (run_toy(Path(name), Trainer__seed=seed) / "last.safetensors").read_bytes()
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == second
    assert first != other


def test_global_random_state_is_left_alone(folder: Path) -> None:
    state = torch.get_rng_state()
    run_toy(Path("out"))
    assert torch.equal(state, torch.get_rng_state())


def orders(monkeypatch: pytest.MonkeyPatch, out: str, **changes: object) -> list[list[float]]:
    """Return the energies of the training frames in the order in which each epoch takes them."""
    epochs: list[list[float]] = []

    def train_epoch(training, dataset, frames, trainer, *args) -> float:
        epochs.append([float(energy) for batch in dataset.batches(frames, trainer.batch_size) for energy in batch.E])
        return 1.0

    monkeypatch.setattr(training, "train_epoch", train_epoch)
    run_toy(Path(out), **changes)
    return epochs


def test_every_epoch_has_every_frame_once_and_an_order_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = orders(monkeypatch, "out")
    assert len(epochs) == 3
    for epoch in epochs:
        assert len(set(epoch)) == 12  # two full batches of 5 and one of 2
        assert sorted(epoch) == sorted(epochs[0])
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_order_does_not_depend_on_validation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"parts": ["training", "other", "test"], "ratios": [0.5, 0.25, 0.25]}
    assert orders(monkeypatch, "a") == orders(monkeypatch, "b", Trainer__Splitter=parts)


@pytest.mark.parametrize(("atoms", "evaluated"), [(8192, [6]), (1, [5, 1])])
def test_evaluation_takes_large_batches(
    folder: Path, monkeypatch: pytest.MonkeyPatch, atoms: int, evaluated: list[int]
) -> None:
    """Of as many atoms as fit, but never smaller than those of the training."""
    sizes: list[int] = []
    batch = MoleculeDataset.batch

    def noted(self: MoleculeDataset, indices: torch.Tensor) -> Batch:
        sizes.append(len(indices))
        return batch(self, indices)

    monkeypatch.setattr(MoleculeDataset, "batch", noted)
    monkeypatch.setattr(training, "ATOMS_TO_EVALUATE", atoms)
    run_toy(Path("out"), Trainer__max_epochs=1)
    # an epoch with its validation, and at the end validation and test part
    expected = [5, 5, 2, *evaluated, *evaluated, *evaluated]
    assert sizes[-len(expected) :] == expected


def test_a_large_batch_has_some_thousand_atoms_of_the_largest_molecule(folder: Path) -> None:
    write_toy(folder, names=("H2O", "CH4"))
    dataset = MoleculeDataset.from_config(config_from_dict(toy_config()), ".")
    assert large_batch(dataset, 5) == 8192 // 5
    assert large_batch(dataset, 2000) == 2000


def test_batch_is_not_modified(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = MoleculeDataset.from_config(config_from_dict(toy_config()), ".")
    batch = dataset.batch(torch.arange(4))
    before = {name: value.clone() for name, value in batch.to_dict().items() if isinstance(value, torch.Tensor)}
    potential = pyg_nnp.build_potential(config_from_dict(toy_config()), "FF01")
    potential(batch)["Fa"].sum().backward()
    after: Batch = batch
    assert before.keys() == {name for name, value in after.to_dict().items() if isinstance(value, torch.Tensor)}
    for name, value in before.items():
        assert torch.equal(after[name], value), name
        assert not after[name].requires_grad


def test_labels_cannot_leak_into_a_prediction(folder: Path) -> None:
    dataset = MoleculeDataset.from_config(config_from_dict(toy_config()), ".")
    potential = pyg_nnp.build_potential(config_from_dict(toy_config()), "FF01").eval()
    batch, blind = dataset.batch(torch.arange(4)), dataset.batch(torch.arange(4))
    for name in ("E", "Fa", "Qa", "M2"):
        blind[name] = torch.full_like(blind[name], float("nan"))
    for name, value in potential(batch).items():
        assert torch.equal(value, potential(blind)[name])


def test_without_validation_the_last_is_the_best(folder: Path) -> None:
    parts = {"parts": ["training", "test"], "ratios": [0.5, 0.5]}
    model = run_toy(Path("out"), Trainer__Splitter=parts, Trainer__patience=1, Trainer__max_epochs=4)
    assert len(history(model)) == 4
    assert "score" not in history(model)[0]
    best, last = (pyg_nnp.load_potential(model / f"{state}.safetensors").state_dict() for state in ("best", "last"))
    assert all(torch.equal(best[name], last[name]) for name in best)


def test_patience_stops_early(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([3.0, 2.0, 2.5, math.nan, 2.0, 1.0])
    monkeypatch.setattr(
        training.Epoch, "validated", lambda epoch, *_: replace(epoch, validation_loss=0.0, score=next(scores))
    )
    model = run_toy(Path("out"), Trainer__patience=3, Trainer__max_epochs=6)
    assert len(history(model)) == 5
    assert pyg_nnp.load_potential(model).spec["epoch"] == 2


def test_no_finite_score_leaves_no_best_potential(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "weighted_sum", lambda errors, weights: math.nan)
    with pytest.raises(TrainingError, match="no epoch had a finite validation score"):
        run_toy(Path("out"))
    model = folder / "out" / "FF01-SchNet"
    assert pyg_nnp.load_potential(model / "last.safetensors").spec["score"] is None
    assert not (model / "best.safetensors").exists()
    assert not (model / "metrics.json").exists()


def test_divergence_is_an_error(folder: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"epoch 1, step \d: the loss is (nan|inf).*are as they were.*smaller learning_rate"
    ):
        run_toy(Path("out"), Trainer__learning_rate=1e30)
    assert not (folder / "out" / "FF01-SchNet").exists()  # nothing that would stand in the way of the next try


@pytest.mark.parametrize("parts", [["training", "test"], ["training", "validation"]])
def test_broken_parameters_are_never_the_best(folder: Path, parts: list[str]) -> None:
    """A single step can break them after the only loss was computed."""
    with pytest.raises(
        TrainingError,
        match=r"epoch 1: after its last step the loss is not finite|no epoch had a finite",
    ):
        run_toy(
            Path("out"),
            Trainer__Splitter={"parts": parts, "ratios": [0.5, 0.5]},
            Trainer__batch_size=12,
            Trainer__max_epochs=1,
            Trainer__learning_rate=1e25,
        )
    assert not list((folder / "out").glob("FF01-SchNet/best*"))


def test_an_untrained_potential_is_never_the_best(folder: Path) -> None:
    changes = {"Trainer__batch_size": 12, "Trainer__max_epochs": 1, "Trainer__warmup_ratio": 1.0}
    trained = pyg_nnp.load_potential(run_toy(Path("out"), **changes)).state_dict()
    fresh = pyg_nnp.build_potential(config_from_dict(toy_config(**changes)), "FF01").state_dict()
    assert not torch.equal(trained["layers.4.interactions.0.lin.weight"], fresh["layers.4.interactions.0.lin.weight"])


def test_two_runs_in_one_folder_do_not_mix(folder: Path) -> None:
    model = folder / "FF01-SchNet"
    with training.claimed(model):
        with pytest.raises(TrainingError, match="in use by another run"), training.claimed(model):
            pass
        assert model.exists()
    assert not model.exists()


def test_elements_never_seen_are_refused(folder: Path) -> None:
    potential = pyg_nnp.load_potential(run_toy(Path("out")))
    data = make_data([6, 1], np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.1]]), dtype=torch.float32)
    with pytest.raises(DataError, match="this potential was not trained on C, only on H, O"):
        potential(data)


def test_a_potential_knows_the_charges_of_its_training(folder: Path) -> None:
    frames = write_toy(folder)
    for frame, charge in zip(frames, [0, 1, -2] * 8, strict=True):
        frame["total_charge"] = charge
        frame["atomic_charges"] = frame["atomic_charges"] + charge / 3
    (folder / "dataset.pkl").write_bytes(pickle.dumps(frames))
    assert pyg_nnp.load_potential(run_toy(Path("out"))).domain.charges == (-2.0, 0.0, 1.0)


def test_a_potential_knows_the_compositions_of_its_training(folder: Path) -> None:
    assert pyg_nnp.load_potential(run_toy(Path("out"))).domain.compositions == ("H2O",)


def test_a_potential_knows_how_close_atoms_were(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "large_batch", lambda dataset, at_least: 4)  # so that there are several
    model = run_toy(Path("out"))
    (split,) = Path("out").glob("processed_dataset_*/split_*")
    training_part = load_file(split)["training"]
    frames = pickle.loads((folder / "dataset.pkl").read_bytes())
    lengths = {"O-H": [], "H-H": []}
    for number in training_part.tolist():
        R = frames[number]["coordinates"]
        lengths["O-H"] += [np.linalg.norm(R[0] - R[1]), np.linalg.norm(R[0] - R[2])]
        lengths["H-H"].append(np.linalg.norm(R[1] - R[2]))
    found = pyg_nnp.load_potential(model).domain.shortest_distances
    expected = {(1, 1): min(lengths["H-H"]), (1, 8): min(lengths["O-H"])}
    assert found == pytest.approx(expected, rel=1e-5)


def test_inference_mode_predicts_forces_too(folder: Path) -> None:
    potential = pyg_nnp.load_potential(run_toy(Path("out")))
    dataset = MoleculeDataset.from_config(pyg_nnp.load_config("out/config.yaml"), "out")
    expected = potential(dataset.batch([0, 1]))
    with torch.inference_mode():
        predicted = potential(dataset.batch([0, 1]))
    assert torch.equal(predicted["Fa"], expected["Fa"])


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


def test_metrics_do_not_depend_on_batches(folder: Path) -> None:
    config = config_from_dict(toy_config())
    dataset = MoleculeDataset.from_config(config, ".")
    potential = pyg_nnp.build_potential(config, "FF01")
    weights = {"rmse": {"E": 1.0, "Fa": 1.0}, "mae": {"M2": 1.0}, "mse": {"Qa": 1.0}}
    frames = torch.arange(len(dataset))
    whole, cut = (evaluate(potential, dataset.batches(frames, size), weights) for size in (100, 5))
    predicted, batch = potential.eval()(dataset.batch(frames)), dataset.batch(frames)
    assert potential.training is False
    for kind, of in whole.items():
        for name, value in of.items():
            assert cut[kind][name] == pytest.approx(value, rel=1e-5)
            error = (predicted[name] - batch[name]).double()
            by_hand = {"rmse": error.square().mean().sqrt(), "mse": error.square().mean(), "mae": error.abs().mean()}
            assert value == pytest.approx(float(by_hand[kind]), rel=1e-5)


def test_training_loss_is_the_mean_over_frames(folder: Path) -> None:
    """Batches of 5, 5, 5, 5 and 4 frames; without a step the mean absolute error is that of all frames together."""
    config = config_from_dict(toy_config())
    dataset = MoleculeDataset.from_config(config, ".")
    potential = pyg_nnp.build_potential(config, "FF01")
    optimizer = torch.optim.SGD(potential.parameters())
    state = Training(potential, optimizer, Progress(Best(None), torch.get_rng_state(), 5))
    taken: list[int] = []
    gradients = Gradients(potential, potential.parameters(), {"mae": {"E": 1.0}})
    frames = torch.arange(len(dataset))
    loss = train_epoch(state, dataset, frames, config.Trainer, gradients, lambda step: 0.0, taken.append)
    assert taken == [1, 2, 3, 4, 5]
    whole = evaluate(potential, [dataset.batch(torch.arange(len(dataset)))], {"mae": {"E": 1.0}})
    assert loss == pytest.approx(whole["mae"]["E"], rel=1e-6)


def test_evaluation_takes_no_second_derivatives_and_returns_to_training(folder: Path) -> None:
    config = config_from_dict(toy_config())
    dataset = MoleculeDataset.from_config(config, ".")
    potential = pyg_nnp.build_potential(config, "FF01").train()
    modes: list[bool] = []
    potential.layers[-1].register_forward_pre_hook(lambda layer, inputs: modes.append(layer.training))
    evaluate(potential, dataset.batches(torch.arange(10), 5), {"rmse": {"E": 1.0}})
    assert modes == [False, False]
    assert potential.training


def test_several_models_one_after_the_other(folder: Path) -> None:
    document = toy_config()
    models = document["Modelhub"]
    models["FF02"] = {**models["FF01"], "suffix": "second"}
    models["FF03"] = {**models["FF01"], "active": False}
    run.train(config_from_dict(document), folder / "out")
    assert {path.name for path in (folder / "out").glob("FF*")} == {"FF01-SchNet", "FF02-SchNet-second"}
    # each from the seed
    (first, parameters), (second, others) = (
        read_saved(folder / "out" / name / "best.safetensors") for name in ("FF01-SchNet", "FF02-SchNet-second")
    )
    assert list(first.pop("config")["Modelhub"]["internal_FFs"]) == ["FF01"]
    assert list(second.pop("config")["Modelhub"]["internal_FFs"]) == ["FF02"]
    # which has that configuration in it
    assert first.pop("sha256") != second.pop("sha256")
    assert first == second
    assert all(torch.equal(parameters[name], others[name]) for name in parameters)


@pytest.mark.parametrize("transform", [{"atomic_energy": "fit"}, {"total_energy_normalization": True}])
def test_references_from_the_training_part(folder: Path, transform: dict) -> None:
    transforms = {"negative_gradient": True, **transform}
    model = run_toy(Path("out"), Datahub__transforms=transforms)
    config = pyg_nnp.load_config("out/config.yaml")
    dataset = MoleculeDataset.from_config(config, "out")
    parts = pyg_nnp.data.split_dataset(config.Trainer.Splitter, len(dataset), dataset.hash, dataset.folder)
    potential = pyg_nnp.load_potential(model)
    reference = potential._reference({k: dataset.batch(parts["training"])[k] for k in ("Za", "batch", "N")})
    # one molecule alone: both mean the mean
    torch.testing.assert_close(reference.mean(), dataset.E[parts["training"]].mean())


def test_a_trained_potential_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(folder)
    assert cli.main(["train", str(path), "-o", "out"]) == 0
    before = (folder / "out/FF01-SchNet/best.safetensors").read_bytes()
    capsys.readouterr()
    assert cli.main(["train", str(path), "-o", "out"]) == 2
    assert "holds a trained potential already. Give another output folder with -o" in capsys.readouterr().err
    assert (folder / "out/FF01-SchNet/best.safetensors").read_bytes() == before


def test_a_different_configuration_is_kept(folder: Path) -> None:
    (folder / "config.yaml").write_text("mine: 1\n")
    run_toy(Path())
    assert (folder / "config.1.yaml").read_text() == "mine: 1\n"
    assert pyg_nnp.load_config("config.yaml")


@pytest.mark.parametrize("asked", [True, False])
def test_cuda_without_a_device_is_said_once(folder: Path, monkeypatch: pytest.MonkeyPatch, asked: bool) -> None:
    """Where the configuration has the key; it is the default, too, and then needs no word."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    document = toy_config()
    document["Modelhub"]["FF02"] = {**document["Modelhub"]["FF01"], "suffix": "second"}
    document["Trainer"] |= {"cuda": True} if asked else {}
    run.train(config_from_dict(document), folder / "out")
    (log,) = (folder / "out/logs").iterdir()
    assert log.read_text().count("no CUDA device") == asked


def test_what_is_not_trained_is_said(folder: Path) -> None:
    run_toy(Path("out"), Modelhub__FF01__loss={"rmse": {"E": 1, "Fa": 1, "Qa": 0}})
    (log,) = (folder / "out/logs").iterdir()
    assert "Qa and M2 is no part of the loss" in log.read_text()


def test_what_nothing_teaches_is_not_predicted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = {"rmse": {"E": 1, "Fa": 1}}
    run_toy(Path("out"), Modelhub__FF01__loss=weights, Metrics=weights)
    assert "FF01: Qa, M2, Q will not be predicted: its layers could" in capsys.readouterr().err
    potential = pyg_nnp.load_potential("out/FF01-SchNet")
    assert potential.outputs == ["E", "Ea", "Fa"]
    assert "charges" not in PotentialCalculator(potential).implemented_properties
    assert cli.main(["info", "out/FF01-SchNet"]) == 0
    assert "atomic charges" not in capsys.readouterr().out.partition("layers:")[0]
    # dipoles teach charges
    run_toy(Path("dipoles"), Modelhub__FF01__loss={"rmse": {"E": 1, "M2": 1}}, Metrics=weights)
    assert {"Qa", "M2", "Q"} < set(pyg_nnp.load_potential("dipoles/FF01-SchNet").outputs)


@pytest.mark.parametrize("said", [False, True])
def test_elements_that_are_not_trained_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bool) -> None:
    """Only the last frame has carbon; it is in the training part or not."""
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, frames=8, names=("H2O",) * 7 + ("CH4",))
    in_training = {
        bool((torch.randperm(8, generator=torch.Generator().manual_seed(s))[:4] == 7).any()): s for s in range(20)
    }
    splitter = {"parts": ["training", "validation"], "ratios": [0.5, 0.5], "seed": in_training[not said]}
    run_toy(Path("out"), Trainer__Splitter=splitter, Trainer__batch_size=2, Trainer__max_epochs=1)
    (log,) = (tmp_path / "out/logs").iterdir()
    assert ("No frame of the training part has C:" in log.read_text()) is said


def test_double_precision(folder: Path) -> None:
    model = run_toy(Path("out"), Trainer__dtype="double")
    potential = pyg_nnp.load_potential(model)
    assert potential.dtype == torch.float64
    dataset = MoleculeDataset.from_config(pyg_nnp.load_config("out/config.yaml"), "out")
    assert potential(dataset.batch([0, 1]))["Fa"].dtype == torch.float64


def test_quiet_where_output_is_no_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_toy(Path("out"))
    captured = capsys.readouterr()
    assert "epoch 1" not in captured.err
    assert "\x1b" not in captured.err + captured.out


def test_how_long_it_takes_is_without_the_first_epoch(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = iter([60.0, 62.0, 64.0, 66.0])
    monkeypatch.setattr(logs, "perf_counter", lambda: next(ends))
    progress = logs.EpochProgress(Console(force_terminal=False), "FF01", 100, 5)
    with caplog.at_level("INFO", "pyg_nnp"):
        for number in range(11, 17):  # a training that goes on
            progress.on_epoch(training.Epoch(number, 1.0, 1e-3), Best(None))
    assert caplog.messages == ["FF01: 2 s an epoch, 0:02:52 for the 86 epochs that remain."]


def test_how_long_it_takes_is_said_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_toy(Path("out"), Trainer__max_epochs=6)
    lines = re.findall(r"FF01: \S+ s an epoch, \d+:\d\d:\d\d for the 2 epochs that remain", capsys.readouterr().err)
    assert len(lines) == 1


def initial(folder: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """Return the parameters that a training begins with: those after steps of 1e-30, which zeros alone feel."""
    model = run_toy(folder, Trainer__learning_rate=1e-30, Trainer__max_epochs=1, **changes)
    return {name: value + 0.5 for name, value in pyg_nnp.load_potential(model).named_parameters()}


def test_pretrained_layers_begin_with_what_was_trained(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained = run_toy(Path("trained"))
    expected = {name: value + 0.5 for name, value in pyg_nnp.load_potential(trained).named_parameters()}
    begun = initial(Path("same"), Modelhub__FF01__pretrained=str(trained))
    fresh = initial(Path("fresh"))
    assert all(torch.equal(begun[name], expected[name]) for name in expected)
    assert not all(torch.equal(fresh[name], expected[name]) for name in expected)
    caplog.set_level("INFO", "pyg_nnp")
    # the core has another width: it and nothing else is left as it was drawn
    wider = toy_config()["Modelhub"]["FF01"]["layers"]
    wider[3]["params"]["hidden_channels"] = 9
    changes = {"Modelhub__FF01__layers": wider}
    begun = initial(Path("wider"), Modelhub__FF01__pretrained=str(trained), **changes)
    drawn = initial(Path("drawn"), **changes)
    for name, value in begun.items():
        assert torch.equal(value, (drawn if name.startswith("layers.4.") else expected)[name])
    log = next(Path("wider/logs").iterdir()).read_text()
    assert f"parameters taken from {trained}: RandomAtomEmbedding, AtomicAffine." in log
    assert "not taken, since there are none of these shapes: SchNet." in log


def test_pretrained_that_is_none(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"Modelhub.FF01.pretrained: nowhere: no potential here"):
        run_toy(Path("out"), Modelhub__FF01__pretrained="nowhere")
    assert not Path("out").exists()
