"""What new users do wrong: each ends with exit code 2 and one message of where, what, and what instead."""

import copy
import importlib
import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from toy import TOY_CONFIG, toy_config, write_config, write_toy

from pyg_nnp.commands import cli
from pyg_nnp.data.store.layout import open_store

# changes the folder of a user whose run would succeed; returns the command line if that is what is wrong
Misuse = Callable[[Path], list[str] | None]
LAYERS = [entry["name"] for entry in toy_config()["Modelhub"]["FF01"]["layers"]]
BUILD = "Modelhub__FF01__build_params__"


def command(*arguments: str) -> Misuse:
    return lambda folder: list(arguments)


def text(old: str, new: str) -> Misuse:
    """Replace a text of the YAML file."""
    assert TOY_CONFIG.count(old) >= 1, old
    return lambda folder: write_config(folder, TOY_CONFIG.replace(old, new, 1)) and None


def config(**changes: Any) -> Misuse:
    return lambda folder: write_config(folder, toy_config(**changes)) and None


def model(change: Callable[[dict[str, Any]], Any]) -> Misuse:
    """Change the model of the configuration."""

    def misuse(folder: Path) -> None:
        document = toy_config()
        change(document["Modelhub"]["FF01"])
        write_config(folder, document)

    return misuse


def layers(*names: str) -> Misuse:
    """Set the layers, those of the toy configuration with their options."""

    def change(force_field: dict[str, Any]) -> None:
        entries = {entry["name"]: entry for entry in force_field["layers"]}
        force_field["layers"] = [copy.deepcopy(entries.get(name, {"name": name})) for name in names]

    return model(change)


def without(name: str) -> Misuse:
    return layers(*[layer for layer in LAYERS if layer != name])


def params(layer: str, **options: Any) -> Misuse:
    def change(force_field: dict[str, Any]) -> None:
        entry = next(entry for entry in force_field["layers"] if entry["name"] == layer)
        entry["params"] = entry.get("params", {}) | options

    return model(change)


def second_model(name: str = "FF02", **build_params: Any) -> Misuse:
    """Add a model that differs from the first in these options."""

    def misuse(folder: Path) -> None:
        document = toy_config()
        second = copy.deepcopy(document["Modelhub"]["FF01"])
        second["build_params"] |= build_params
        document["Modelhub"][name] = second
        write_config(folder, document)

    return misuse


def own_layer(body: str, name: str = "mine:Mine", place: int = 5) -> Misuse:
    """Write a module of the user's own and use its layer."""

    def misuse(folder: Path) -> None:
        (folder / "mine.py").write_text(f"from pyg_nnp.layers import Layer\n{body}\n")
        document = toy_config()
        document["Modelhub"]["FF01"]["layers"].insert(place, {"name": name})
        write_config(folder, document)

    return misuse


def own_class(reads: str, writes: str, returned: str, place: int = 5) -> Misuse:
    names = reads.strip("(),'")
    forward = f"def forward(self, {names}):\n        return {returned}"
    return own_layer(f"class Mine(Layer):\n    reads = {reads}\n    writes = {writes}\n    {forward}", place=place)


def frames(change: Callable[[list[dict[str, Any]]], Any]) -> Misuse:
    """Change the frames in place, or return others."""

    def misuse(folder: Path) -> None:
        path = folder / "dataset.pkl"
        data = pickle.loads(path.read_bytes())
        path.write_bytes(pickle.dumps(change(data) or data))

    return misuse


def frame(number: int, **values: Any) -> Misuse:
    return frames(lambda data: data[number].update(values))


def scaled(**factors: float) -> Misuse:
    return frames(lambda data: [f | {key: f[key] * factor for key, factor in factors.items()} for f in data])


def file(name: str, content: str | bytes) -> Misuse:
    def misuse(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return misuse


def csv(*lines: str) -> Misuse:
    return file("atomic_energy.csv", "".join(f"{line}\n" for line in lines))


def read_only(folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (folder / "out").mkdir(mode=0o500)


def linked(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out/FF01-SchNet").symlink_to(folder / "elsewhere")


def trained_before(folder: Path) -> None:
    (folder / "out/FF01-SchNet").mkdir(parents=True)
    (folder / "out/FF01-SchNet/best.safetensors").write_text("{}")


FF = r"ConfigError: train.yaml: Modelhub\.FF01"
WIRING = r"FieldError: train.yaml: Modelhub\.FF01"
MISUSES: dict[str, tuple[Misuse, str]] = {
    # the command line
    "no arguments": (command(), r"error: the following arguments are required: command"),
    "no configuration": (command("train"), r"error: the following arguments are required: config"),
    "unknown command": (
        command("trian", "train.yaml"),
        r"invalid choice: 'trian' \(choose from '?train'?, '?check'?, ",
    ),
    "unknown option": (command("train", "train.yaml", "--epochs", "3"), r"unrecognized arguments: --epochs 3"),
    "misspelt file": (
        command("train", "trian.yaml"),
        r"trian.yaml: there is no such file.*Did you mean 'train.yaml'\?",
    ),
    "folder instead of YAML": (command("train", "."), r"this is a folder; name the YAML file in it"),
    "data instead of YAML": (command("train", "dataset.pkl"), r"dataset.pkl: byte 0 is not UTF-8.*name a YAML file"),
    "output is a file": (file("out", ""), r"-o out: cannot be made: File exists. Name a folder"),
    "output below a file": (
        command("train", "train.yaml", "-o", "dataset.pkl/out"),
        r"-o dataset.pkl/out: cannot be made: Not a directory. Name a folder",
    ),
    "output read-only": (read_only, r"-o out: cannot be written to. Name another output folder"),
    "model folder is a file": (file("out/FF01-SchNet", ""), r"out/FF01-SchNet: this is a file.*Move it away"),
    "logs is a file": (file("out/logs", ""), r"OSError: out/logs: File exists. Look at permissions"),
    "model folder is a link": (linked, r"FF01-SchNet: leads to .*elsewhere, outside of out. Name that folder with -o"),
    "trained already": (trained_before, FF + r": out/FF01-SchNet holds a trained potential already. Give another"),
    # the file as a whole
    "empty file": (file("train.yaml", ""), r"the file is empty; it needs the sections Datahub and Modelhub"),
    "prose": (file("train.yaml", "train it\n"), r"expects a mapping, found 'train it'"),
    "tab": (text("  batch_size", "\tbatch_size"), r"train.yaml: line 28, column 1:.*not with tabs"),
    "key twice": (text("  max_epochs: 3", "  max_epochs: 3\n  max_epochs: 4"), r"'max_epochs' is given twice"),
    "typo of a section": (text("Datahub:", "Datahubs:"), r"unknown key 'Datahubs'. Did you mean 'Datahub'\?"),
    "no models": (text("Modelhub:", "Modelhubb:"), r"unknown key 'Modelhubb'. Did you mean 'Modelhub'\?"),
    # Datahub
    "typo in Datahub": (text("data_path", "datapath"), r"Datahub: unknown key 'datapath'. Did you mean 'data_path'\?"),
    "data file missing": (config(Datahub__data_path="datset.pkl"), r"train.yaml: .*'datset.pkl'.*mean 'dataset.pkl'\?"),
    "unknown format": (config(Datahub__data_format="pkl"), r"Datahub.data_format: .*found 'pkl'.*mean 'pickle'\?"),
    "another format": (config(Datahub__data_format="npz"), r"looks like a pickle; set data_format: pickle"),
    "typo in features": (
        text("Za: atomic", "Zaa: atomic"),
        r"features.Zaa: unknown standard name. Did you mean 'Za'\?",
    ),
    "map the wrong way": (text("Za: atomic_numbers", "atomic_numbers: Za"), r"write 'Za: atomic_numbers'"),
    "target as feature": (text("{N: number_of_atoms,", "{E: energy,"), r"features.E: .*move it to Datahub.targets"),
    "name not in the file": (
        text("E: energy", "E: energies"),
        r"no 'energies' \(E\). Did you mean 'energy'\? It has: ",
    ),
    "Q not mapped": (text(", Q: total_charge", ""), r"'total_charge' looks like.*Add 'Q: total_charge' there"),
    "typo in transforms": (text("negative_gradient", "negative_gradients"), r"transforms: unknown key .*_gradient'\?"),
    "CSV missing": (config(Datahub__transforms={"atomic_energy": "x.csv"}), r"train.yaml: .*atomic_energy: .*'x.csv'"),
    "gradients without targets": (
        text("Fa: forces, ", ""),
        r"label 'Fa' is missing from Datahub.targets, which has: E, Qa, M2",
    ),
    # the data
    "empty data": (file("dataset.pkl", b""), r"dataset.pkl: the file is empty"),
    "damaged data": (file("dataset.pkl", b"\x80\x04oops"), r"dataset.pkl: this is not a pickle, or it is damaged"),
    "malicious pickle": (
        file("dataset.pkl", b"cos\nsystem\n(S'touch FF01-owned'\ntR."),
        r"the pickle asks for .*system, which is not run",
    ),
    "no frames": (frames(lambda data: data.clear()), r"dataset.pkl: there are no frames"),
    "tensors": (frames(lambda data: data[0].update(energy=torch.ones(()))), r"tensors as numpy arrays: tensor.numpy"),
    "wrong shape": (frame(7, forces=np.zeros((2, 3))), r"frame 7: 'forces' \(Fa\) has shape \(2, 3\).*has 3 atoms"),
    "wrong rank": (frame(7, coordinates=np.zeros(9)), r"frame 7: 'coordinates' \(Ra\) has shape \(9,\), expected"),
    "NaN": (frame(7, energy=float("nan")), r"frame 7: 'energy' \(E\) is nan; a number is needed"),
    "missing label": (frames(lambda data: data[7].pop("dipole") is None), r"frame 7: there is no 'dipole' \(M2\)"),
    "text for a number": (frame(7, energy="-76.3"), r"frame 7: 'energy' \(E\) holds text"),
    "unknown element": (frame(7, atomic_numbers=["O", "Hh", "H"]), r"frame 7: .* has 'Hh', which is no element"),
    "impossible element": (frame(7, atomic_numbers=[8, 1, 300]), r"frame 7: .* of atom 2 is 300; elements go from 1"),
    "overlapping atoms": (
        frame(7, coordinates=np.zeros((3, 3))),
        r"frame 7: .*atoms 0 and 1 at a distance of 0, below",
    ),
    "wrong number of atoms": (frame(7, number_of_atoms=4), r"frame 7: .*has shape \(3,\), but the frame has 4 atoms"),
    # the reference energies
    "element not in CSV": (
        csv("atom_type,atomic_energy", "O,-75"),
        r"csv: there is no energy for H.*Add a line for it",
    ),
    "CSV without header": (csv("H,-0.5", "O,-75"), r"csv: line 1: there is no column 'atom_type'"),
    "no number in CSV": (
        csv("atom_type,atomic_energy", "H,half"),
        r"csv: line 2: .* of H is 'half', which is not a num",
    ),
    "decimal comma in CSV": (csv("atom_type,atomic_energy", "H,-0,5", "O,-75,1"), r"csv: line 2: .*not a comma"),
    "no element in CSV": (csv("atom_type,atomic_energy", "Hy,1"), r"csv: line 2: 'Hy' is not the symbol of an element"),
    "CSV in eV": (
        csv("atom_type,atomic_energy", "H,-13.6", "O,-2041"),
        r"DataError: .*csv: .*in the unit and with the",
    ),
    "sign in CSV": (csv("atom_type,atomic_energy", "H,0.5", "O,75"), r"DataError: .*csv: .*with the sign of 'energy'"),
    # units
    "Bohr_in_R for Bohr": (config(**{BUILD + "Bohr_in_R": 1}), FF + r"\S*Bohr_in_R: 1 cannot be.*0.529177210544 in Å"),
    "data in Bohr": (
        scaled(coordinates=1.8897),
        r"Bohr_in_R: 0.5291772 cannot be.*The positions look like Bohr: set it to 1\.",
    ),
    "data in nm": (scaled(coordinates=0.1), r"below 0.2 Å .*another unit of length"),
    "data in eV": (scaled(energy=27.2, forces=27.2), FF + r"\S*Hartree_in_E: 1 cannot be: .*27.2113862 in eV"),
    "unit as text": (config(**{BUILD + "Hartree_in_E": "eV"}), r"Hartree_in_E: expects a number.*found 'eV'"),
    "unit of 0 that no layer takes": (
        model(lambda m: (m["layers"].pop(7), m["build_params"].update(Bohr_in_R=0))),
        r"Bohr_in_R: expects a number greater than 0, found 0",
    ),
    # the model
    "typo in a model": (text("build_params:", "build_parms:"), r"FF01: unknown key .*Did you mean 'build_params'\?"),
    "typo in build_params": (text("num_rbf:", "num_rfb:"), FF + r".build_params: no layer .*Did you mean 'num_rbf'\?"),
    "typo of a layer": (text("name: EnergyReduce", "name: EnergyReduse"), FF + r".layers\[8\].*mean 'EnergyReduce'\?"),
    "typo in params": (
        params("Core", num_interaction=2),
        FF + r".layers\[3\].params: .*Did you mean 'num_interactions'\?",
    ),
    "typo of a value": (params("ElectrostaticEnergy", flavor="SpokyNet"), FF + r".layers\[7\].*mean 'SpookyNet'\?$"),
    "typo of the architecture": (text("SchNet", "Schnet"), FF + r".architecture: .*Did you mean 'SchNet'\?"),
    "layer without name": (text("- name: Force", "- Force"), FF + r".layers\[9\]: .*write '- name: Force'"),
    "option missing": (model(lambda m: m["build_params"].pop("num_rbf")), r"needs 'num_rbf', which is neither in"),
    "number as text": (config(**{BUILD + "cutoff_sr": "5.0"}), FF + r".build_params.cutoff_sr: .*leave out the quotes"),
    "negative cutoff": (config(**{BUILD + "cutoff_sr": -4.0}), r"cutoff_sr: .*must be greater than 0"),
    "cutoff below every bond": (
        config(**{BUILD + "cutoff_sr": 0.3}),
        r"nine of ten atoms have no other within 0.3.*Choose it larger",
    ),
    "cutoff below most bonds": (config(**{BUILD + "cutoff_sr": 0.8}), r"nine of ten atoms have no other within 0.8"),
    "absurd size": (config(**{BUILD + "dim_embedding": 10**18}), r"layers\[2\]: RandomAtomEmbedding cannot be built"),
    "max_Za too small": (
        config(**{BUILD + "max_Za": 7}),
        FF + r".*max_Za: 7, but the data has O. Set it to at least 8",
    ),
    "no Core": (without("Core"), FF + r".layers: exactly one entry must be 'name: Core'"),
    "Core twice": (layers(*LAYERS[:4], "Core", *LAYERS[4:]), FF + r".layers: exactly one entry must be 'name: Core'"),
    "no dipole": (without("AtomicCharge2Dipole"), r"not predict 'M2'.*or add the layer AtomicCharge2Dipole"),
    "no smearing": (without("GaussianSmearing"), WIRING + r".layers\[2\] \(SchNetCore\) reads 'rbf', which nothing"),
    "Force before EnergyReduce": (
        layers(*LAYERS[:-2], "Force", "EnergyReduce"),
        WIRING + r".layers\[8\] \(Force\) reads 'E', which nothing before it writes.*Fields at this point",
    ),
    "EnergyReduce before ElectrostaticEnergy": (
        layers(*LAYERS[:7], "EnergyReduce", "ElectrostaticEnergy", "Force"),
        WIRING + r".layers\[8\] .*'Ea_electrostatic' after EnergyReduce.*Move it before",
    ),
    "sum of charges as energy": (params("EnergyReduce", terms=["Ea", "Qa"]), r"terms: 'Qa' is no energy of atoms"),
    "Force twice": (layers(*LAYERS, "Force"), WIRING + r".layers\[10\] .*Remove one of the two layers"),
    "sizes that do not fit": (
        params("GaussianSmearing", num_rbf=7),
        WIRING + r".layers: .*do not fit.*in build_params",
    ),
    "all inactive": (config(Modelhub__FF01__active=False), r"at least one model must be active; set 'active: true'"),
    "one folder for two": (second_model("ff01"), r"Modelhub.ff01: its folder .* also that of FF01; change a suffix"),
    "second model beyond max_Za": (second_model(max_Za=7), r"FF02.build_params.max_Za: 7, but the data has O"),
    "second model in another unit": (second_model(Bohr_in_R=1.0), r"FF02.build_params.Bohr_in_R: 1.0 cannot be"),
    # layers of one's own
    "no such module": (
        layers(*LAYERS, "mine:Mine"),
        FF + r".layers\[10\].name: cannot import 'mine'.*must be installed",
    ),
    "file name as module": (layers(*LAYERS, "./mine.py:Mine"), r"Write package.module:Class, without '.py'"),
    "syntax error": (own_layer("class Mine(Layer) pass"), r"importing 'mine' fails: SyntaxError: .*mine.py, line 2"),
    "error while importing": (own_layer("nothing"), r"fails: NameError: name 'nothing' is not .*mine.py, line 2\)"),
    "misspelt class": (own_layer("class Mine(Layer): pass", "mine:Mien"), r"no class 'Mien'. Did you mean 'Mine'\?"),
    "no Layer": (own_layer("class Mine: pass"), r"'Mine' in module 'mine' is no subclass of pyg_nnp.layers.Layer"),
    "text for a tuple": (
        own_class("('Qa')", "('y',)", "{'y': Qa}"),
        r"reads is the text 'Qa'. Write a tuple: \('Qa',\)",
    ),
    "other argument": (
        own_layer(
            "class Mine(Layer):\n    reads = ('x',)\n    writes = ('y',)\n    def forward(self, h): return {'y': h}"
        ),
        r"\(Mine\): forward does not take what reads declares, x",
    ),
    "reads a label": (own_class("('Fa',)", "('y',)", "{'y': Fa}"), WIRING + r".layers\[5\] \(Mine\) reads 'Fa'"),
    "writes an input": (own_class("('Q',)", "('Q',)", "{'Q': Q}"), r"writes 'Q', an input. Write a field with a name"),
    "returns another field": (own_class("('x',)", "('y',)", "{'z': x}"), r"returned \['z'\], but declares .*\['y'\]"),
    "returns a tensor": (own_class("('x',)", "('y',)", "x"), r"returned a Tensor, but declares that it writes \['y'\]"),
    "returns another shape": (
        own_class("('Qa',)", "('Qa',)", "{'Qa': Qa[:, None]}", place=9),
        r"'Qa' is predicted with shape \(6, 1\), the data has \(6,\)",
    ),
    "changes an input": (own_class("('Q',)", "('y',)", "{'y': Q.add_(1)}"), r"one of the layers changes 'Q' in place"),
    # loss and metrics
    "typo of a loss": (config(Modelhub__FF01__loss={"rsme": {"E": 1}}), r"loss.rsme: .*Did you mean 'rmse'\?"),
    "typo of a field": (config(Modelhub__FF01__loss={"rmse": {"fa": 1}}), r"loss.rmse.fa: .*Did you mean 'Fa'\?"),
    "negative weight": (config(Modelhub__FF01__loss={"rmse": {"E": -1}}), r"loss.rmse.E: must be at least 0"),
    "all weights 0": (config(Modelhub__FF01__loss={"rmse": {"E": 0}}), r"all weights are 0; at least one must"),
    "weight without function": (config(Metrics={"E": 1}), r"Metrics.E: .*write 'rmse: \{E: 1\}'"),
    "typo of a metric": (config(Metrics={"maee": {"E": 1}}), r"Metrics.maee: unknown function. Did you mean 'mae'\?"),
    # Trainer
    "typo in Trainer": (text("batch_size", "batchsize"), r"Trainer: unknown key .*Did you mean 'batch_size'\?"),
    "number in quotes": (
        text("learning_rate: 1e-2", "learning_rate: '1e-2'"),
        r"learning_rate: .*leave out the quotes",
    ),
    "decimal comma": (text("learning_rate: 1e-2", "learning_rate: 0,01"), r"learning_rate: .*write a point, not a com"),
    "fraction of an epoch": (
        text("max_epochs: 3", "max_epochs: 3.5"),
        r"max_epochs: expects a whole number, found 3.5",
    ),
    "unknown precision": (config(Trainer__dtype="float23"), r"Trainer.dtype: .*Did you mean 'float32'\?"),
    "device for cuda": (config(Trainer__cuda="cuda:0"), r"Trainer.cuda: expects true or false, found 'cuda:0'"),
    "learning rate diverges": (
        config(Trainer__learning_rate=1e30),
        r"TrainingError: epoch 1, step .*smaller learning_rate",
    ),
    "batch too large": (config(Trainer__batch_size=13), r"batch_size: 13 is more than the 12 frames.*at most 12"),
    "typo in Splitter": (text("ratios:", "rations:"), r"Trainer.Splitter: unknown key .*Did you mean 'ratios'\?"),
    "train for training": (text("[training,", "[train,"), r"Splitter.parts: 'training' is missing among train"),
    "shares above 1": (
        text("0.5, 0.25", "0.8, 0.25"),
        r"Splitter.ratios: the shares add up to 1.3; they may not exceed",
    ),
    "percent": (text("[0.5, 0.25, 0.25]", "[50, 25, 25]"), r"yaml: Trainer.Splitter.ratios: .*more than the 24 frames"),
    "empty part": (text("[0.5, 0.25, 0.25]", "[0.5, 0.01, 0.25]"), r"'validation' \(0.01\) would be empty"),
    "ratio missing": (text("[0.5, 0.25, 0.25]", "[0.8, 0.2]"), r"2 ratios for 3 parts; give one for each"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    write_toy(tmp_path)
    write_config(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("mine", None)


def run(arguments: list[str] | None, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Return exit code, what the log said, and the message."""
    capsys.readouterr()
    try:
        code: Any = cli.main(["train", "train.yaml", "-o", "out"] if arguments is None else arguments)
    except SystemExit as stop:  # argparse
        code = stop.code
    captured = capsys.readouterr()
    assert captured.out == ""
    starts = [match.start() for match in re.finditer(r"^(\w+Error: |usage: )", captured.err, re.MULTILINE)]
    assert len(starts) <= 1, captured.err
    start = starts[0] if starts else len(captured.err)
    return code, captured.err[:start], captured.err[start:]


def test_the_toy_run_succeeds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or nothing below would show anything."""
    code, log, message = run(None, capsys)
    assert (code, message) == (0, "")
    assert "No part is called" not in log
    assert "Is it the same unit?" not in log


@pytest.mark.parametrize("misuse", MISUSES)
def test_misuse_ends_with_one_message(misuse: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, expected = MISUSES[misuse]
    before = {path.name for path in folder.iterdir()}
    arguments = spoil(folder)
    existing = set((folder / "out").glob("FF*")) if (folder / "out").is_dir() else set()
    code, log, message = run(arguments, capsys)
    assert code == 2, (log, message)
    assert re.search(expected, message, re.DOTALL), message
    assert "Traceback" not in log + message
    assert "Error" not in log
    assert "\x1b" not in log + message
    assert set(folder.glob("out/FF*")) == existing
    assert {path.name for path in folder.iterdir()} <= before | {"out", "mine.py", "__pycache__"}
    assert not list(folder.rglob("*partial*"))
    for store in folder.glob("out/processed_dataset_*"):
        with open_store(store) as (info, _):
            assert info.num_frames == 24
    for log_file in folder.glob("out/logs/*.log"):
        assert message.rstrip() in log_file.read_text() or message.startswith("OSError")


def test_there_are_enough() -> None:
    assert len(MISUSES) >= 45


def test_misspelt_validation_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text("validation, test]", "validaton, test]")(folder)
    code, log, _ = run(None, capsys)
    assert code == 0
    assert "Part 'validaton' has no role in training. Did you mean 'validation'?" in log
    assert log.count("No part is called 'validation': nothing stops early") == 1


def test_other_parts_are_no_mistake(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text("[training, validation, test]", "[training, validation, spare]")(folder)
    code, log, _ = run(None, capsys)
    assert code == 0
    assert "has no role" not in log
    assert "No part" not in log


@pytest.mark.parametrize("factor", [27.2114, 627.509])
def test_forces_too_small_for_their_unit_are_said(
    factor: float, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config(**{BUILD + "Hartree_in_E": factor})(folder)
    code, log, _ = run(None, capsys)
    assert code == 0
    assert "Hartree_in_E: with" in log


def test_references_far_too_small_are_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Energies in eV, atomic energies in Hartree."""
    document = toy_config(**{BUILD + "Hartree_in_E": 27.2114})
    scaled(energy=27.2114, forces=27.2114)(folder)
    write_config(folder, document)
    code, log, _ = run(None, capsys)
    assert code == 0
    assert "atomic_energy.csv: these atomic energies are hardly a part of E" in log


def test_error_in_a_layer_of_ones_own_keeps_its_traceback(folder: Path) -> None:
    own_class("('x',)", "('y',)", "{'y': x @ x}")(folder)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        cli.main(["train", "train.yaml", "-o", "out"])
    (log_file,) = (folder / "out/logs").iterdir()
    assert "Stopped by an error outside of the configuration and the data" in log_file.read_text()
    assert "mine.py" in log_file.read_text()
    assert not (folder / "out/FF01-SchNet").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory(
    error: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(*_: Any) -> None:
        raise error

    monkeypatch.setattr("pyg_nnp.commands.train.train", train)
    code, _, message = run(None, capsys)
    assert code == 2
    assert message.startswith("MemoryError: out of memory. Choose a smaller Trainer.batch_size")


def test_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def train(*_: Any) -> None:
        raise OSError("Can't write data (file write failed: errno = 28)")  # as h5py has it, without a file name

    monkeypatch.setattr("pyg_nnp.commands.train.train", train)
    code, _, message = run(None, capsys)
    assert code == 2
    assert message.startswith("OSError: out: Can't write data")


def test_the_canonical_toy_configuration_is_what_is_spoilt() -> None:
    """Text that is replaced and dict that is changed are the same configuration."""
    assert yaml.safe_load(TOY_CONFIG.replace("1e-2", "0.01")) == toy_config()
