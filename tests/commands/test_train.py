"""What a training leaves, says and refuses."""

import json
import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from toy import toy_config, write_config, write_toy
from toy_training import history, interrupt, run_toy, same, without_seconds

import pyg_nnp
from pyg_nnp.commands import check, cli, train
from pyg_nnp.config import config_from_dict
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import ConfigError
from pyg_nnp.functional.geometry import sum_over_atoms
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.potential.checkpoint import read_saved
from pyg_nnp.training import results, run_setup
from pyg_nnp.training.evaluation import evaluate
from pyg_nnp.training.metrics import weighted_sum
from pyg_nnp.training.results import warn_of_no_report


def test_a_run_leaves_everything(folder: Path) -> None:
    assert cli.main(["train", str(write_config(folder)), "-o", "out"]) == 0
    out = folder / "out"
    model = out / "FF01-SchNet"
    assert {path.name for path in model.iterdir()} == {
        "best.safetensors",
        "last.safetensors",
        "history.csv",
        "metrics.json",
        "run.json",
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
    monkeypatch.setattr("pyg_nnp.data.summary.MAX_PAIRS", 4 * 3**2)  # so that there are several pieces
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


def test_several_models_one_after_the_other(folder: Path) -> None:
    document = toy_config()
    models = document["Modelhub"]
    models["FF02"] = {**models["FF01"], "suffix": "second"}
    models["FF03"] = {**models["FF01"], "active": False}
    train.train(config_from_dict(document), folder / "out")
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
    batch = dataset.batch(parts["training"])
    atomic = sum_over_atoms(potential.atomic_energies[batch.Za], batch.batch, len(batch.N))
    reference = atomic + potential.energy_shift
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
    train.train(config_from_dict(document), folder / "out")
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


def initial_parameters(folder: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """Return the parameters that a training begins with: those after steps of 1e-30, which zeros alone feel."""
    model = run_toy(folder, Trainer__learning_rate=1e-30, Trainer__max_epochs=1, **changes)
    return {name: value + 0.5 for name, value in pyg_nnp.load_potential(model).named_parameters()}


def test_pretrained_layers_begin_with_what_was_trained(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained = run_toy(Path("trained"))
    expected = {name: value + 0.5 for name, value in pyg_nnp.load_potential(trained).named_parameters()}
    begun = initial_parameters(Path("same"), Modelhub__FF01__pretrained=str(trained))
    fresh = initial_parameters(Path("fresh"))
    assert all(torch.equal(begun[name], expected[name]) for name in expected)
    assert not all(torch.equal(fresh[name], expected[name]) for name in expected)
    caplog.set_level("INFO", "pyg_nnp")
    # the core has another width: it and nothing else is left as it was drawn
    wider = toy_config()["Modelhub"]["FF01"]["layers"]
    wider[3]["params"]["hidden_channels"] = 9
    changes = {"Modelhub__FF01__layers": wider}
    begun = initial_parameters(Path("wider"), Modelhub__FF01__pretrained=str(trained), **changes)
    drawn = initial_parameters(Path("drawn"), **changes)
    for name, value in begun.items():
        assert torch.equal(value, (drawn if name.startswith("layers.4.") else expected)[name])
    log = next(Path("wider/logs").iterdir()).read_text()
    assert f"parameters taken from {trained}: RandomAtomEmbedding, AtomicAffine." in log
    assert "not taken, since there are none of these shapes: SchNet." in log


def test_pretrained_that_is_none(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"Modelhub.FF01.pretrained: nowhere: no potential here"):
        run_toy(Path("out"), Modelhub__FF01__pretrained="nowhere")
    assert not Path("out").exists()


def test_the_command_line_resumes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_config(folder)
    assert cli.main(["train", str(path), "-o", "whole"]) == 0
    with monkeypatch.context() as patch:
        interrupt(patch, pyg_nnp.training.step, "weighted_loss", 5)
        assert cli.main(["train", str(path), "-o", "out"]) == 130
    assert cli.main(["train", str(path), "-o", "out"]) == 2
    assert cli.main(["train", str(path), "-o", "out", "--resume"]) == 0
    same(folder / "out/FF01-SchNet", folder / "whole/FF01-SchNet")
    assert not (folder / "out/config.1.yaml").exists()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_from_the_store_is_training_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], num_workers: int
) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, names=("H2O", "CH4"))
    said = {}
    for out, in_memory in (("memory", True), ("store", False)):
        changes = {"Datahub__in_memory": in_memory, "Trainer__num_workers": num_workers}
        write_config(tmp_path, yaml.safe_dump(toy_config(**changes)))
        assert cli.main(["train", "train.yaml", "-o", out]) == 0
        said[out] = capsys.readouterr().err
    histories = [without_seconds(tmp_path / out / "FF01-SchNet/history.csv") for out in said]
    assert histories[0] == histories[1]
    assert "Batches are made in the training process, from data in memory" in said["memory"]
    makers = "2 loader processes" if num_workers else "the training process"
    assert f"Batches are made by {makers}, from data in store/processed_dataset_" in said["store"]


def test_store_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path)
    write_config(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "out/processed_dataset_0/.lock")

    monkeypatch.setattr("pyg_nnp.runtime.files.FileLock.acquire", refuse)
    assert cli.main(["train", "train.yaml", "-o", "out"]) == 2
    assert "OSError: out/processed_dataset_0/.lock: Permission denied. Look at permissions" in capsys.readouterr().err


def test_failure_is_a_warning_and_the_training_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_toy(tmp_path)
    write_config(tmp_path, toy_config(Trainer__report=True))
    monkeypatch.chdir(tmp_path)

    def fail(*of_report: Any) -> None:
        raise PermissionError(13, "not allowed", "report.html")

    monkeypatch.setattr("pyg_nnp.training.report.make.make_report", fail)
    assert cli.main(["train", "train.yaml"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "FF01: no report could be made (PermissionError: [Errno 13] not allowed: 'report.html')" in told
    assert "pyg-nnp report ." in told
    assert (tmp_path / "FF01-SchNet/metrics.json").exists()


def test_a_mistake_in_the_code_of_reports_is_a_warning_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_toy(tmp_path)
    write_config(tmp_path, toy_config(Trainer__report=True, Trainer__max_epochs=1))
    monkeypatch.chdir(tmp_path)

    def fail(*of_report: Any) -> None:
        raise ZeroDivisionError("a mistake in the code")

    monkeypatch.setattr("pyg_nnp.training.report.make.make_report", fail)
    # all other tests let it through
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", "train.yaml", "-o", "out"])
    monkeypatch.setattr(results, "warn_of_no_report", warn_of_no_report)
    assert cli.main(["train", "train.yaml"]) == 0
    told = capsys.readouterr().err
    assert "ZeroDivisionError: a mistake in the code" in " ".join(told.split())
    assert "Traceback" not in told
    assert "Traceback" in next((tmp_path / "logs").iterdir()).read_text()


def test_each_part_is_evaluated_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For metrics.json and report together, when the training is over."""
    write_toy(tmp_path)
    write_config(tmp_path, toy_config(Trainer__report=True, Trainer__max_epochs=1))
    monkeypatch.chdir(tmp_path)
    taken: list[int] = []
    batches, load = MoleculeDataset.batches, results.load_potential

    def noted(self: MoleculeDataset, indices: torch.Tensor, *args: Any, **options: Any) -> Any:
        taken.append(len(indices))
        return batches(self, indices, *args, **options)

    def trained(*args: Any) -> Any:
        taken.clear()
        return load(*args)

    monkeypatch.setattr(MoleculeDataset, "batches", noted)
    monkeypatch.setattr(results, "load_potential", trained)
    assert cli.main(["train", "train.yaml"]) == 0
    assert taken == [6, 6]
    metrics = json.loads((tmp_path / "FF01-SchNet/metrics.json").read_text())
    assert metrics.keys() == {"best_epoch", "validation", "test"}


def test_metrics_are_the_same_with_and_without_a_report(folder: Path) -> None:
    found = [run_toy(Path(out), Trainer__report=out == "with") / "metrics.json" for out in ("with", "without")]
    assert found[0].read_bytes() == found[1].read_bytes()


def test_a_model_is_built_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def noted(config: Any, name: str) -> Any:
        built.append(name)
        return pyg_nnp.build_potential(config, name)

    for module in (run_setup, check):
        monkeypatch.setattr(module, "build_potential", noted)
    models = toy_config(Trainer__max_epochs=1)["Modelhub"]
    models["FF02"] = {**models["FF01"], "suffix": "second"}
    run_toy(Path("out"), Modelhub=models, Trainer__max_epochs=1)
    assert built == ["FF01", "FF02"]


def test_a_look_at_the_prediction_is_no_part_of_the_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a layer of the user's own remembers of the frames that are predicted before."""
    (folder / "counting.py").write_text(
        "from pyg_nnp.layers import Layer\n"
        "class Count(Layer):\n"
        "    reads = ('x',)\n    writes = ('x',)\n    first = []\n"
        "    def __init__(self):\n        super().__init__()\n        self.calls = 0\n"
        "    def forward(self, x):\n"
        "        self.first.append((self.training, self.calls))\n        self.calls += 1\n"
        "        return {'x': x}\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    layers = toy_config()["Modelhub"]["FF01"]["layers"]
    layers.insert(3, {"name": "counting:Count"})
    run_toy(Path("out"), Modelhub__FF01__layers=layers, Trainer__max_epochs=1)
    first = import_module("counting").Count.first
    assert first[0] == (False, 0)
    assert first[1] == (True, 0)
