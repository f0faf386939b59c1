"""The configuration: what is read, in which spellings, and what each mistake is told."""

import copy
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pyg_nnp.config import Config, Section, Splitter, Trainer, config_from_dict, dump_config, load_config
from pyg_nnp.config.yaml_reader import MAX_SIZE, format_yaml, parse_yaml
from pyg_nnp.errors import ConfigError
from pyg_nnp.fields import FEATURES, TARGETS

ROOT = Path(__file__).resolve().parents[2]
REMOVED = object()
BASE = """
Datahub:
  data_path: d.pkl
  data_format: pickle
  features: {Ra: coordinates, Za: atomic_numbers}
  targets: {E: energy, Fa: forces}
  transforms: {}
Modelhub:
  internal_FFs:
    FF01:
      architecture: SchNet
      layers:
        - name: Core
          params: {num_interactions: 4}
        - name: Force
      loss: {rmse: {E: 1, Fa: 50}}
Trainer: {Splitter: {}}
Metrics: {}
"""
# The structure of the manual's file: an empty Trainer with its keys beside it, models without internal_FFs.
AS_PRINTED = """
Datahub:
    data_path: "dataset.pkl"
    data_format: "pickle"
    features:
        Ra: "coordinates"
        Za:
        Q: "total_charge"
    targets:
        E: "energy"
        M2:
    compressed: false
    transforms:
        atomic_energy: "atomic_energy.csv"
Modelhub:
    FF01:
        suffix:
        architecture: SchNet
        active: true
        build_params:
            cutoff_sr: 5.0
            Hartree_in_E: 1
        layers:
          - name: Core
            params:
                hidden_channels: 128
          - name: EnergyReduce
        loss:
            rmse:
                M2: 1.8897261
                Q: 1
            E: {rmse: 1, mae: 1e-3}
Trainer:
Splitter:
    method: random
    parts:
    - training
    - test
    preload: true
    ratio:
    - 0.7
    - -1
batch_size: 64
dtype: double
learning_rate: 1e-3
Metric:
    E: {rmse: 1}
"""
CANONICAL = """\
Datahub:
  data_path: dataset.pkl
  data_format: pickle
  features:
    Ra: coordinates
    Za: Za
    Q: total_charge
  targets:
    E: energy
    M2: M2
  compression: false
  preload: true
  in_memory: null
  transforms:
    atomic_energy: atomic_energy.csv
    negative_gradient: false
    total_energy_normalization: false
Modelhub:
  internal_FFs:
    FF01:
      suffix: null
      architecture: SchNet
      active: true
      pretrained: null
      build_params:
        cutoff_sr: 5.0
        Hartree_in_E: 1
      layers:
        - name: Core
          params:
            hidden_channels: 128
        - name: EnergyReduce
          params: {}
      loss:
        rmse:
          M2: 1.8897261
          Q: 1.0
          E: 1.0
        mae:
          E: 0.001
Trainer:
  Splitter:
    method: random
    parts:
      - training
      - test
    ratios:
      - 0.7
      - null
    seed: 42
    save: true
    preload: true
  batch_size: 64
  cuda: true
  dtype: float64
  schedule: linear
  learning_rate: 0.001
  max_epochs: 1000
  max_norm: null
  num_workers: 0
  patience: 50
  report: true
  resume: false
  seed: 42
  tensorboard: false
  warmup_ratio: 0.0
Metrics:
  rmse:
    E: 1.0
"""


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the base with values set or removed at paths such as ``Trainer/seed``; FF stands for the model."""
    document = parse_yaml(BASE, "base")
    for path, value in changes.items():
        place: Any = document
        *keys, last = path.replace("FF/", "Modelhub/internal_FFs/FF01/").split("/")
        for key in keys:
            place = place[int(key) if key.isdigit() else key]
        if value is REMOVED:
            del place[last]
        else:
            place[int(last) if last.isdigit() else last] = copy.deepcopy(value)
    return document


def read(changes: dict[str, Any]) -> Config:
    return config_from_dict(changed(changes), "train.yaml")


FF01 = parse_yaml(BASE, "base")["Modelhub"]["internal_FFs"]["FF01"]
SPLITTER_KEYS = "It takes: method, parts, ratios, seed, save, preload."
DATAHUB_KEYS = "It takes: data_path, data_format, features, targets, compression, preload, in_memory, transforms."
MODEL_KEYS = (
    "It takes: suffix, architecture, active, pretrained, build_params, layers, loss. "
    "Hyperparameters go under build_params."
)
FOLDER = (
    "becomes part of a folder's name, which has up to 100 letters, digits, '_', '-' and '.', "
    "and does not start with '.'."
)

MISTAKES: list[tuple[dict[str, Any], str]] = [
    # unknown keys, at every level
    ({"datahub": {}}, "unknown key 'datahub'. Did you mean 'Datahub'? It takes: Datahub, Modelhub, Trainer, Metrics."),
    ({"batchsize": 3}, "unknown key 'batchsize'. Did you mean 'batch_size'?"),
    ({"data_path": "x"}, "unknown key 'data_path'. It belongs under Datahub."),
    ({"Datahub/data_paht": "x"}, f"Datahub: unknown key 'data_paht'. Did you mean 'data_path'? {DATAHUB_KEYS}"),
    ({"Datahub/batch_size": 3}, f"Datahub: unknown key 'batch_size'. It belongs under Trainer. {DATAHUB_KEYS}"),
    (
        {"Datahub/negative_gradient": True},
        "Datahub: unknown key 'negative_gradient'. It belongs under Datahub.transforms.",
    ),
    ({"Datahub/transforms/atomic": "x"}, "Datahub.transforms: unknown key 'atomic'. Did you mean 'atomic_energy'?"),
    ({"FF/activ": True}, f"Modelhub.FF01: unknown key 'activ'. Did you mean 'active'? {MODEL_KEYS}"),
    ({"FF/dim_embedding": 3}, f"Modelhub.FF01: unknown key 'dim_embedding'. {MODEL_KEYS}"),
    ({"FF/layers/1/cutoff": 3}, "Modelhub.FF01.layers[1]: unknown key 'cutoff'. It takes: name, params. Options of a"),
    (
        {"Modelhub/architecture": "SchNet"},
        "Modelhub: unknown key 'architecture'. It belongs under a model in Modelhub.",
    ),
    ({"Modelhub": {"internal_FF": {"A": FF01}}}, "Modelhub: unknown key 'internal_FF'. Did you mean 'internal_FFs'?"),
    ({"Modelhub": {"A": {"architectur": "S"}}}, "Modelhub.A: unknown key 'architectur'. Did you mean 'architecture'?"),
    (
        {"Trainer/learning_rat": 1},
        "Trainer: unknown key 'learning_rat'. Did you mean 'learning_rate'? It takes:",
    ),
    ({"Trainer/parts": ["training"]}, "Trainer: unknown key 'parts'. It belongs under Trainer.Splitter."),
    ({"Trainer/ratio": [1]}, "Trainer: unknown key 'ratio'. It belongs under Trainer.Splitter."),
    ({"Trainer/Splitter/shuffle": True}, f"Trainer.Splitter: unknown key 'shuffle'. {SPLITTER_KEYS}"),
    # given twice
    ({"seed": 1, "Trainer/seed": 1}, "Trainer.seed: the key is given both in Trainer and at the top level."),
    ({"Metric": {}}, "'Metric' and 'Metrics' mean the same; give one of them."),
    ({"Datahub/compressed": True, "Datahub/compression": True}, "Datahub: 'compressed' and 'compression' mean the"),
    ({"Trainer/Splitter": {"ratio": [1], "ratios": [1]}}, "Trainer.Splitter: 'ratio' and 'ratios' mean the same;"),
    ({"Modelhub/FF01": FF01}, "Modelhub.FF01: the model is given both in internal_FFs and directly."),
    ({"FF/loss/E": {"rmse": 2}}, "Modelhub.FF01.loss.rmse.E: the weight of 'E' is given twice."),
    # missing and empty
    ({"Datahub": REMOVED}, "'Datahub' is missing: the data set."),
    ({"Datahub": None}, "Datahub: expects a mapping, but is empty."),
    ({"Datahub/data_path": REMOVED}, "Datahub: 'data_path' is missing: data file, relative to the working directory."),
    ({"Datahub/data_path": None}, "Datahub.data_path: expects text, but is empty."),
    ({"Datahub/data_path": ""}, "Datahub.data_path: is empty, but needed."),
    ({"Datahub/targets": {}}, "Datahub.targets: at least one target is needed, of E, Fa, Qa, M2."),
    ({"Modelhub": {}}, "Modelhub: 'internal_FFs' is missing: the models, each under a name of your choice."),
    ({"Modelhub": {"internal_FFs": None}}, "Modelhub: expects a mapping, but is empty."),
    ({"Modelhub/internal_FFs": {}}, "Modelhub: at least one model must be active; set 'active: true' in it."),
    ({"Modelhub/FF02": None}, "Modelhub.FF02: expects a mapping, but is empty."),
    ({"FF/layers": []}, "Modelhub.FF01.layers: is empty, but needed."),
    ({"FF/layers/1": {"params": {}}}, "Modelhub.FF01.layers[1]: 'name' is missing: name of the layer, or package"),
    ({"FF/loss": {"rmse": {}}}, "Modelhub.FF01.loss: at least one term is needed, such as 'rmse: {E: 1}'."),
    ({"Trainer/batch_size": None}, "Trainer.batch_size: expects a whole number, but is empty."),
    # wrong structure
    ({"Trainer": [1]}, "Trainer: expects a mapping, found a list."),
    ({"Trainer": [], "batch_size": 3}, "unknown key 'batch_size'. It belongs under Trainer."),
    ({"Datahub/features": ["Ra"]}, "Datahub.features: expects a mapping, found a list."),
    ({"FF/layers": {"name": "Core"}}, "Modelhub.FF01.layers: expects a list, found a mapping; each entry of a list"),
    ({"FF/layers/0": "Core"}, "Modelhub.FF01.layers[0]: expects a mapping, found 'Core' (text); write '- name: Core'."),
    ({"FF/layers/0/params": [1]}, "Modelhub.FF01.layers[0].params: expects a mapping, found a list."),
    ({"FF/build_params": 3}, "Modelhub.FF01.build_params: expects a mapping, found 3 (whole number)."),
    ({"Trainer/Splitter/parts": "training"}, "Trainer.Splitter.parts: expects a list, found 'training' (text); each"),
    ({"Metrics": "rmse"}, "Metrics: expects a mapping, found 'rmse' (text)."),
    # wrong types
    ({"Trainer/batch_size": "abc"}, "Trainer.batch_size: expects a whole number, found 'abc' (text)."),
    (
        {"Trainer/batch_size": "5"},
        "Trainer.batch_size: expects a whole number, found '5' (text); leave out the quotes.",
    ),
    ({"Trainer/batch_size": True}, "Trainer.batch_size: expects a whole number, found true (truth value)."),
    ({"Trainer/batch_size": 32.0}, "Trainer.batch_size: expects a whole number, found 32.0 (number); write 32."),
    ({"Trainer/cuda": 1}, "Trainer.cuda: expects true or false, found 1 (whole number)."),
    (
        {"Trainer/learning_rate": "5.0 Å"},
        "Trainer.learning_rate: expects a number, found '5.0 Å' (text); write 5.0, without a unit.",
    ),
    ({"Trainer/cuda": "true"}, "Trainer.cuda: expects true or false, found 'true' (text); leave out the quotes."),
    (
        {"Trainer/learning_rate": "0,001"},
        "Trainer.learning_rate: expects a number, found '0,001' (text); write a point, not a comma.",
    ),
    ({"Trainer/learning_rate": float("nan")}, "Trainer.learning_rate: expects a finite number, found nan (number)."),
    ({"FF/loss/rmse/E": True}, "Modelhub.FF01.loss.rmse.E: expects a number, found true (truth value)."),
    (
        {"FF/suffix": 1},
        "Modelhub.FF01.suffix: expects text, found 1 (whole number); put it in quotes if it is meant as text.",
    ),
    ({"Datahub/targets/Qa": 5}, "Datahub.targets.Qa: expects text, found 5 (whole number); put it in quotes"),
    # values out of range
    ({"Trainer/batch_size": 0}, "Trainer.batch_size: must be greater than 0, found 0 (whole number)."),
    ({"Trainer/learning_rate": 0}, "Trainer.learning_rate: must be greater than 0, found 0 (whole number)."),
    ({"Trainer/max_epochs": -5}, "Trainer.max_epochs: must be greater than 0, found -5 (whole number)."),
    ({"Trainer/num_workers": -1}, "Trainer.num_workers: must be at least 0, found -1 (whole number)."),
    ({"Trainer/patience": 0}, "Trainer.patience: must be greater than 0, found 0 (whole number)."),
    ({"Trainer/warmup_ratio": 1.5}, "Trainer.warmup_ratio: must be at most 1, found 1.5 (number)."),
    ({"Trainer/warmup_ratio": -0.1}, "Trainer.warmup_ratio: must be at least 0, found -0.1 (number)."),
    ({"Trainer/seed": 2**32}, "Trainer.seed: must be less than 4294967296, found 4294967296 (whole number)."),
    ({"Trainer/Splitter/seed": -1}, "Trainer.Splitter.seed: must be at least 0, found -1 (whole number)."),
    (
        {"Trainer/dtype": "float16"},
        "Trainer.dtype: expects one of float32, float64, found 'float16' (text). Did you",
    ),
    ({"Trainer/schedule": "step"}, "Trainer.schedule: expects one of linear, constant, cosine, found 'step' (text)."),
    ({"Trainer/Splitter/method": "even"}, "Trainer.Splitter.method: expects random, found 'even' (text)."),
    (
        {"Datahub/data_format": "pikle"},
        "Datahub.data_format: expects one of pickle, npz, hdf5, extxyz, ase, found",
    ),
    # fields
    ({"Datahub/features": {"Ra": None}}, "Datahub.features: 'Za' is missing; write 'Za: ' and the name of the atomic"),
    ({"Datahub/features/coordinates": "Ra"}, "Datahub.features.coordinates: the standard name comes first; write 'Ra:"),
    ({"Datahub/features/z": "n"}, "Datahub.features.z: unknown standard name. Did you mean 'Za: n'? There are: N"),
    ({"Datahub/targets/FA": "f"}, "Datahub.targets.FA: unknown standard name. Did you mean 'Fa'? There are: E (total"),
    ({"Datahub/features/E": "x"}, "Datahub.features.E: 'E' is one of the targets; move it to Datahub.targets."),
    ({"Datahub/targets/Q": "x"}, "Datahub.targets.Q: 'Q' is one of the features; move it to Datahub.features."),
    ({"Datahub/targets/Qa": "energy"}, "Datahub.targets.Qa: 'energy' is already what targets.E is read from."),
    ({"Datahub/targets/Qa": "coordinates"}, "Datahub.targets.Qa: 'coordinates' is already what features.Ra is read"),
    # models
    ({"FF/active": False}, "Modelhub: at least one model must be active; set 'active: true' in it."),
    ({"FF/suffix": "a/b"}, f"Modelhub.FF01.suffix: 'a/b' {FOLDER}"),
    ({"FF/suffix": ".x"}, f"Modelhub.FF01.suffix: '.x' {FOLDER}"),
    ({"Modelhub": {"../FF": FF01}}, f"Modelhub.../FF: '../FF' {FOLDER}"),
    ({"Modelhub/my model": FF01}, f"Modelhub.my model: 'my model' {FOLDER}"),
    ({"Modelhub/ff01": FF01}, "Modelhub.ff01: its folder ff01-SchNet is also that of FF01; change a suffix."),
    (
        {"FF/architecture": "Schnét"},
        "Modelhub.FF01.architecture: expects a name such as SchNet, or package.module:Class,",
    ),
    # loss and metrics
    ({"FF/loss": {"rmsd": {"E": 1}}}, "Modelhub.FF01.loss.rmsd: unknown function. Did you mean 'rmse'? There are:"),
    ({"FF/loss": {"E": 1}}, "Modelhub.FF01.loss.E: a weight stands under a function; write 'rmse: {E: 1}'."),
    ({"FF/loss/rmse/E": -1}, "Modelhub.FF01.loss.rmse.E: must be at least 0, found -1 (whole number)."),
    ({"FF/loss": {"rmse": {"E": 0}}}, "Modelhub.FF01.loss: all weights are 0; at least one must be greater."),
    (
        {"FF/loss/rmse/Qa": 1},
        "Modelhub.FF01.loss.rmse.Qa: the label 'Qa' is missing from Datahub.targets, which has: E, Fa; add it or",
    ),
    (
        {"FF/loss/rmse/F": 1},
        "Modelhub.FF01.loss.rmse.F: 'F' is no field with labels. Did you mean 'Fa'? Datahub.targets has:",
    ),
    ({"Metrics": {"mse": {"E": 1}}}, "Metrics.mse: unknown function. Did you mean 'rmse'? There are: rmse, mae."),
    (
        {"Metrics": {"rmse": {"M2": 1}}},
        "Metrics.rmse.M2: the label 'M2' is missing from Datahub.targets, which has: E,",
    ),
    # parts and ratios
    ({"Trainer/Splitter/parts": ["train", "a", "b"]}, "Trainer.Splitter.parts: 'training' is missing among train, a,"),
    ({"Trainer/Splitter/parts": ["training", "a", "a"]}, "Trainer.Splitter.parts[2]: 'a' is given twice."),
    ({"Trainer/Splitter/parts": ["training", True]}, "Trainer.Splitter.parts[1]: expects text, found true (truth"),
    ({"Trainer/Splitter/ratios": [0.8, 0.2]}, "Trainer.Splitter.ratios: 2 ratios for 3 parts; give one for each."),
    ({"Trainer/Splitter/ratios": [0.8, 0.2, 0.1]}, "Trainer.Splitter.ratios: the shares add up to 1.1; they may not"),
    ({"Trainer/Splitter/ratios": [0.8, 0.2, 0]}, "Trainer.Splitter.ratios[2]: expects a share or a count greater"),
    ({"Trainer/Splitter/ratios": [0.8, -0.2, 1]}, "Trainer.Splitter.ratios[1]: expects a share or a count greater"),
    ({"Trainer/Splitter/ratios": [0.8, -1.0, 1]}, "Trainer.Splitter.ratios[1]: expects a share or a count greater"),
    ({"Trainer/Splitter/ratios": [0.8, None, -1]}, "Trainer.Splitter.ratios[2]: only one part can take the rest."),
    ({"Trainer/Splitter/ratios": [0.8, 0.2, None]}, "Trainer.Splitter.ratios: the shares add up to 1, which leaves"),
    (
        {"Trainer/Splitter/ratios": [800.0, 9, 9]},
        "Trainer.Splitter.ratios[0]: a share is at most 1, found 800; write a count without a point.",
    ),
    ({"Trainer/Splitter/ratios": [True, 9, 9]}, "Trainer.Splitter.ratios[0]: expects a share, a count, or null,"),
    ({"Trainer/Splitter/ratios": ["80%", 9, 9]}, "Trainer.Splitter.ratios[0]: expects a share, a count, or null,"),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=[message[:50] for _, message in MISTAKES])
def test_mistake_is_explained(changes, message):
    with pytest.raises(ConfigError, match="^train.yaml: " + re.escape(message)):
        read(changes)


YAML_MISTAKES = [
    ("", "the file is empty; it needs the sections Datahub and Modelhub."),
    ("# only a comment", "the file is empty;"),
    ("- a\n- b", "expects a mapping, found a list."),
    ("Datahub", "expects a mapping, found 'Datahub' (text)."),
    ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is given twice, first in line 1."),
    ("a: {b: 1, b: 2}", "line 1, column 11: the key 'b' is given twice, first in line 1."),
    ("a:\n\tb: 1", "line 2, column 1: found character '\\t' that cannot start any token; indent with spaces, not with"),
    ("a:\n  b: 1\n c: 2", "line 3, column 2: expected <block end>, but found '<block mapping start>' (while parsing a"),
    (
        "a: b: c",
        "line 1, column 5: mapping values are not allowed here; a ':' too many, a line indented too far",
    ),
    ("a: 'x\nb: 1", "line 2, column 5: found unexpected end of stream (while scanning a quoted scalar from line 1)."),
    ('a: "C:\\data"', "line 1, column 8: found unknown escape character 'd' (while scanning a double-quoted scalar"),
    ("a: *x", "line 1, column 4: found undefined alias 'x'; a text that starts with '*' must stand in quotes."),
    (
        "a: @x",
        "line 1, column 4: found character '@' that cannot start any token; a text that starts with this character",
    ),
    ("a: \x01", "line 1: the character '\\x01' is not allowed in YAML."),
    ("a: 1\n---\na: 2", "line 2, column 1: but found another document (expected a single document in the stream from"),
    ("Q:\n  No: 1", "line 2, column 3: YAML reads the key No as true or false; write 'No', in quotes."),
    ("1: 2", "line 1, column 1: YAML reads the key 1 as a number; write '1', in quotes."),
    ("~: 1", "line 1, column 1: a key is missing before ':'."),
    ("? [a]\n: 1", "line 1, column 3: a list or mapping cannot be a key."),
    ("a: .nan", "line 1, column 4: .nan is not a finite number."),
    ("a: [1, -.inf]", "line 1, column 8: -.inf is not a finite number."),
    ("a: 1e999", "line 1, column 4: 1e999 is not a finite number."),
    ("a: 9223372036854775808", "line 1, column 4: this number has more than 64 bits."),
    ("a: " + "9" * 5000, "line 1, column 4: '9999999999999999999999999999999999999999' cannot be read as int."),
    ("a: !!bool x", "line 1, column 4: 'x' cannot be read as bool."),
    ("a: !!int x", "line 1, column 4: 'x' cannot be read as int."),
    ("a: !!set {b}", "line 1, column 4: the tag !!set is not allowed in a configuration."),
    ("a: !!python/object/apply:os.getcwd []", "line 1, column 4: the tag !!python/object/apply:os.getcwd is not"),
    ("a: &x [*x]", "line 1, column 4: the aliases in here never end"),
    ("a: " + "[" * 5000, "lists and mappings are nested too deeply."),
]


@pytest.mark.parametrize(("text", "message"), YAML_MISTAKES, ids=[message[:50] for _, message in YAML_MISTAKES])
def test_mistake_in_yaml_is_explained_in_one_line(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    Path("train.yaml").write_text(text)
    with pytest.raises(ConfigError, match="^train.yaml: " + re.escape(message)) as caught:
        load_config("train.yaml")
    assert "\n" not in str(caught.value)


def test_unreadable_file_is_explained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.yaml").write_bytes("a: é".encode("latin-1"))
    Path("big.yaml").write_bytes(b"# " + b"x" * MAX_SIZE)
    for path, message in {
        "tain.yaml": "tain.yaml: there is no such file, seen from '.*'. Did you mean 'train.yaml'?",
        "no/folder/train.yaml": "no/folder/train.yaml: there is no such file",
        ".": "^.: this is a folder; name the YAML file in it.",
        "train.yaml": "train.yaml: byte 3 is not UTF-8 text; name a YAML file, saved as UTF-8.",
        "big.yaml": "big.yaml: the file has more than 1,000,000 bytes; a configuration is a short YAML file.",
        "train.yaml/x": "train.yaml/x: cannot be read: Not a directory.",
    }.items():
        with pytest.raises(ConfigError, match=message):
            load_config(path)


def test_file_with_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_bytes(BASE.encode("utf-8-sig"))
    assert load_config(path) == read({})


@pytest.mark.parametrize(
    "bomb",
    ["[{}, {}, {}, {}, {}, {}, {}, {}, {}]", "{{<<: [{}, {}, {}, {}, {}, {}, {}, {}, {}]}}"],
    ids=["list", "merge"],
)
def test_alias_bomb_is_refused_at_once(bomb):
    lines = ["a0: &a0 {x: lol}"] + [f"a{n}: &a{n} {bomb.format(*[f'*a{n - 1}'] * 9)}" for n in range(1, 40)]
    start = time.perf_counter()
    with pytest.raises(ConfigError, match=r"t.yaml: line 7, .* amount to more than 1,000,000 characters"):
        parse_yaml("\n".join(lines), "t.yaml")
    assert time.perf_counter() - start < 2


def test_anchors_aliases_and_merged_keys_are_read():
    text = "a: &a {x: 1, y: [2]}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, z: 4}\nd: *a\n"
    value = parse_yaml(text, "t.yaml")
    assert value["b"] == {"x": 3, "y": [2]}
    assert value["c"] == {"x": 3, "y": [2], "z": 4}
    assert value["d"] == {"x": 1, "y": [2]}
    assert "&" not in format_yaml(value)
    assert parse_yaml(format_yaml(value), "t.yaml") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        (".5e-2", 0.005),
        ("-1e+3", -1000.0),
        ("-.5", -0.5),
        ("1.e3", 1000.0),
        ("1_0e1", 100.0),
        ("0.5", 0.5),
        ("12", 12),
        ("'1e-3'", "1e-3"),
        ("e5", "e5"),
        ("1e", "1e"),
        ("x1e-3", "x1e-3"),
        ("1e-3.pkl", "1e-3.pkl"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("on", True),
        ("No", False),
        ("N", "N"),
        ("Y", "Y"),
        ("~", None),
    ],
)
def test_scalar_is_read(text, value):
    found = parse_yaml(text, "t.yaml")
    assert (found, type(found)) == (value, type(value))


def test_several_problems_are_listed_unknown_keys_first():
    with pytest.raises(ConfigError) as caught:
        read({"Datahub/data_path": REMOVED, "Datahub/data_paht": "x", "Trainer/cuda": 3})
    lines = str(caught.value).split("\n")
    assert lines[0].startswith("train.yaml: Datahub: unknown key 'data_paht'. Did you mean 'data_path'?")
    assert lines[1:] == [
        "  Datahub: 'data_path' is missing: data file, relative to the working directory.",
        "  Trainer.cuda: expects true or false, found 3 (whole number).",
    ]


def test_message_ends_with_one_mark():
    with pytest.raises(ConfigError, match=r"found 'pikle' \(text\)\. Did you mean 'pickle'\?$"):
        read({"Datahub/data_format": "pikle"})
    with pytest.raises(ConfigError, match=r"Options of a layer go under its params\.$"):
        read({"FF/layers/1/cutoff": 3})


def test_at_most_ten_problems_are_listed():
    with pytest.raises(ConfigError) as caught:
        read({f"Trainer/x{n}": 1 for n in range(12)})
    lines = str(caught.value).split("\n")
    assert [line.split("'")[1] for line in lines[:-1]] == [f"x{n}" for n in range(10)]
    assert lines[-1] == "  and 2 more."


def test_long_text_is_cut_and_stays_in_its_line():
    with pytest.raises(ConfigError) as caught:
        read({"Trainer/seed": "x\n" * 1000})
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_printed_structure_becomes_canonical():
    config = config_from_dict(parse_yaml(AS_PRINTED, "train.yaml"), "train.yaml")
    assert dump_config(config) == CANONICAL
    assert config.source == "train.yaml"


def test_file_of_the_manual_becomes_canonical():
    path = ROOT / "../shared/spec/train.yaml"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    config = load_config(path)
    printed = yaml.safe_load(path.read_text())
    canonical = yaml.safe_load(dump_config(config))
    assert list(canonical) == ["Datahub", "Modelhub", "Trainer", "Metrics"]
    assert canonical["Metrics"] == printed["Metrics"]
    assert canonical["Trainer"].pop("max_norm") is None
    assert canonical["Trainer"].pop("resume") is False
    assert canonical["Trainer"].pop("report") is True
    assert canonical["Trainer"].pop("tensorboard") is False
    assert canonical["Trainer"] == {key: printed[key] for key in canonical["Trainer"]}
    model = canonical["Modelhub"]["internal_FFs"]["FF01"]
    assert [entry["name"] for entry in model["layers"]] == [e["name"] for e in printed["Modelhub"]["FF01"]["layers"]]
    assert model["loss"] == printed["Modelhub"]["FF01"]["loss"]
    assert model["build_params"] == printed["Modelhub"]["FF01"]["build_params"]
    printed["Datahub"]["transforms"]["total_energy_normalization"] = False
    printed["Datahub"]["in_memory"] = None
    assert canonical["Datahub"] == printed["Datahub"]


@pytest.mark.parametrize(
    ("other", "canonical"),
    [
        ({"Modelhub": {"FF01": FF01}}, {}),
        ({"Trainer": REMOVED}, {}),
        ({"Trainer": None}, {}),
        ({"Trainer/Splitter": None}, {}),
        ({"Metrics": None}, {"Metrics": {"rmse": {"E": 1, "Fa": 1}}}),
        ({"Metrics": REMOVED}, {"Metrics": {"rmse": {"E": 1, "Fa": 1}}}),
        ({"Metrics": REMOVED, "Metric": {"mae": {"Q": 2}}}, {"Metrics": {"mae": {"Q": 2}}}),
        ({"Metrics": {"E": {"rmse": 1, "mae": 2}}}, {"Metrics": {"rmse": {"E": 1}, "mae": {"E": 2}}}),
        ({"FF/loss": {"rmse": {"E": 1}, "Fa": {"mse": 2}}}, {"FF/loss": {"rmse": {"E": 1}, "mse": {"Fa": 2}}}),
        ({"batch_size": 7, "Trainer": {"seed": 1}}, {"Trainer": {"batch_size": 7, "seed": 1}}),
        ({"Trainer": REMOVED, "Splitter": {"seed": 1}}, {"Trainer/Splitter/seed": 1}),
        ({"Datahub/compressed": False}, {"Datahub/compression": False}),
        ({"Datahub/transforms": None}, {}),
        ({"Datahub/features/Ra": None, "Datahub/features/Za": ""}, {"Datahub/features": {"Ra": "Ra", "Za": "Za"}}),
        ({"Trainer/Splitter/ratio": [0.7, 0.1, -1]}, {"Trainer/Splitter/ratios": [0.7, 0.1, None]}),
        ({"Trainer/dtype": "single"}, {"Trainer/dtype": "float32"}),
        ({"Trainer/dtype": "double"}, {"Trainer/dtype": "float64"}),
        ({"Trainer/learning_rate": 1}, {"Trainer/learning_rate": 1.0}),
        ({"FF/suffix": ""}, {"FF/suffix": None}),
        ({"FF/build_params": None, "FF/layers/0/params": None}, {"FF/layers/0/params": {}}),
    ],
)
def test_other_spelling_means_the_same(other, canonical):
    assert repr(read(other).model_dump()) == repr(read(canonical).model_dump())


def test_configurations_that_differ_are_not_equal():
    assert read({}) != read({"Trainer/seed": 1})
    assert read({}) != "text"


def test_reading_does_not_change_the_document():
    document = parse_yaml(AS_PRINTED, "train.yaml")
    config_from_dict(document, "train.yaml")
    assert document == parse_yaml(AS_PRINTED, "train.yaml")


@pytest.mark.parametrize(
    "ratios",
    [
        [0.7, 0.1, 0.2],
        [0.1, 0.1, 0.1],
        [800, 0.1, None],
        [5, 6, 7],
        [None, 5, 0.5],
        [0.3333333333, 0.3333333333, 0.3333333335],
    ],
)
def test_shares_counts_and_rest_are_read(ratios):
    assert read({"Trainer/Splitter/ratios": ratios}).Trainer.Splitter.ratios == ratios


@pytest.mark.parametrize("changes", [{"Trainer/patience": None}, {"FF/loss/rmse/Q": 1}, {"FF/loss/rmse/E": 0}])
def test_permitted_value_is_read(changes):
    assert dump_config(read(changes)) != dump_config(read({}))


def test_folder_has_the_name_of_the_class_and_the_suffix():
    config = read({"FF/suffix": "v1.2", "FF/architecture": "my_package.cores:MyCore", "Modelhub/B": FF01})
    assert config.folder_name("FF01") == "FF01-MyCore-v1.2"
    assert config.folder_name("B") == "B-SchNet"


def test_parts_can_be_made_and_changed_in_python():
    config = read({})
    config.Trainer.Splitter = Splitter(parts=["training"], ratios=[10])
    config.Trainer.batch_size = 3
    assert config_from_dict(parse_yaml(dump_config(config), "again")) == config
    with pytest.raises(ValidationError, match="batch_size"):
        config.Trainer.batch_size = "3"
    assert Trainer().Splitter.parts is not Trainer().Splitter.parts


def test_configuration_needs_neither_torch_nor_data_nor_layers():
    program = "import sys, pyg_nnp.config; sys.exit(bool({'torch', 'numpy', 'h5py'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# texts that YAML would take for something else
ODD = """1e-3 .5e-2 -.5 1E5 on No null ~ 2024-01-01 = << 0x1F 1:30 1_000 010 .inf - ? : # ' " | > & * ! % @ ` [ { ,"""
odd_texts = st.sampled_from(
    [*ODD.split(), "", " ", "\t", "\n", "\r\n", "\x85", "\u2028", "\ufeff", " x ", "a: b", "a #b", "- a"]
)
texts = odd_texts | st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | texts
scalars |= st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars, lambda parts: st.lists(parts, max_size=3) | st.dictionaries(texts, parts, max_size=3), max_leaves=8
)
options = st.dictionaries(texts, values, max_size=3)
weights = st.floats(0, 1e300) | st.integers(0, 10)
positive = st.floats(0, exclude_min=True, allow_infinity=False)
seeds = st.integers(0, 2**32 - 1)


def test_text_is_written_as_people_write_it():
    path = "an é in a path that is " + "very " * 50 + "long"
    assert format_yaml({"data_path": path}) == f"data_path: {path}\n"


@given(values)
@settings(max_examples=200, deadline=None)
def test_yaml_round_trip(value):
    again = parse_yaml(format_yaml(value), "t.yaml")
    assert repr(again) == repr(value)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    named = sorted(draw(st.sets(st.sampled_from(TARGETS), min_size=1)))
    features = ["Ra", "Za", *sorted(draw(st.sets(st.sampled_from(("N", "Q")))))]
    sources = draw(st.lists(texts.filter(bool), min_size=8, max_size=8, unique=True))
    terms = st.dictionaries(st.sampled_from([*named, "Q"]), weights, min_size=1).filter(lambda t: any(t.values()))
    parts = ["training", *draw(st.lists(texts.filter(bool).filter(lambda p: p != "training"), max_size=2, unique=True))]
    ratio = st.floats(0, 0.3, exclude_min=True) | st.integers(1, 1000)
    layers = st.fixed_dictionaries({"name": texts.filter(bool)}, optional={"params": options})
    model = st.fixed_dictionaries(
        {
            "architecture": st.sampled_from(["SchNet", "a.b:C"]),
            "layers": st.lists(layers, min_size=1, max_size=3),
            "loss": st.dictionaries(st.sampled_from(["rmse", "mae", "mse"]), terms, min_size=1),
        },
        optional={"suffix": st.sampled_from(["a", "1", "on", "1e-3"]), "build_params": options},
    )
    return {
        "Datahub": {
            "data_path": draw(texts.filter(bool)),
            "data_format": draw(st.sampled_from(["pickle", "npz", "hdf5", "extxyz", "ase"])),
            "features": dict(zip(features, sources[:4], strict=False)),
            "targets": dict(zip(named, sources[4:], strict=False)),
            "compression": draw(st.booleans()),
            "transforms": {"atomic_energy": draw(texts.filter(bool) | st.none())},
        },
        "Modelhub": {
            "internal_FFs": {name: draw(model) for name in draw(st.sets(st.sampled_from("ABc1"), min_size=1))}
        },
        "Trainer": {
            "Splitter": {"parts": parts, "ratios": [draw(ratio) for _ in parts], "seed": draw(seeds)},
            "learning_rate": draw(positive),
            "patience": draw(st.none() | st.integers(1, 10**9)),
            "warmup_ratio": draw(st.floats(0, 1)),
        },
        "Metrics": draw(st.dictionaries(st.sampled_from(["rmse", "mae"]), terms)),
    }


@given(document=documents())
@settings(max_examples=40, deadline=None)
def test_configuration_round_trip(tmp_path_factory, document):
    config = config_from_dict(document)
    path = tmp_path_factory.mktemp("round_trip") / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8", newline="")
    again = load_config(path)
    assert again == config
    assert repr(again.model_dump()) == repr(config.model_dump())
    assert dump_config(again) == dump_config(config)


def schema_keys(section: type[Section], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield place and field of every key of the schema; ``*`` stands for names of the user's choice and numbers."""
    for key, field in section.model_fields.items():
        yield (*place, key), field
        kind, inner = field.annotation, ()
        while get_args(kind) and not isinstance(kind, type):
            kind, inner = get_args(kind)[-1], (*inner, "*")
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from schema_keys(kind, (*place, key, *inner))


SCHEMA = dict(schema_keys(Config))
# below these the keys are fields, functions, or options that belong to the layers
OPEN = {place for place in SCHEMA if place[-1] in ("features", "targets", "build_params", "params", "loss", "Metrics")}


def is_section(field: Any) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def file_keys(node: yaml.Node, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], yaml.Node, yaml.Node]]:
    """Yield place, key and value of every key of a file that the schema has a say in."""
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from file_keys(part, (*place, "*"))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, "*" if place == ("Modelhub", "internal_FFs") else key.value)
            yield inner, key, value
            if inner not in OPEN:
                yield from file_keys(value, inner)


@pytest.fixture(scope="module")
def reference() -> str:
    return (ROOT / "examples/reference.yaml").read_text(encoding="utf-8")


def test_every_key_of_the_schema_says_what_it_is():
    assert ("Modelhub", "internal_FFs", "*", "layers", "*", "params") in SCHEMA
    assert all(field.description for field in SCHEMA.values())


def test_reference_has_every_key_in_canonical_spelling(reference):
    found = [place for place, *_ in file_keys(yaml.compose(reference)) if place[-1] != "*"]
    assert list(dict.fromkeys(found)) == list(SCHEMA)


def test_reference_is_valid_and_names_all_fields(reference):
    config = config_from_dict(parse_yaml(reference, "reference.yaml"), "reference.yaml")
    assert set(config.Datahub.features) == set(FEATURES)
    assert set(config.Datahub.targets) == set(TARGETS)


def test_reference_explains_every_key_and_says_its_default(reference):
    lines, explained = reference.split("\n"), set()
    for place, key, node in file_keys(yaml.compose(reference)):
        if place in explained or place not in SCHEMA:  # the first layer stands for all
            continue
        explained.add(place)
        field, comment = SCHEMA[place], lines[key.start_mark.line].partition("  # ")[2]
        assert comment, f"{place} has no comment"
        stated = re.search(r"default: ([^;]+)", comment)
        if field.is_required():
            assert not stated, f"{place} has no default"
        elif not is_section(field) and place not in OPEN:
            default = field.get_default(call_default_factory=True)
            value = yaml.SafeLoader("").construct_document(node)
            assert value == default or stated, f"{place} does not say its default, {default}"
            assert not stated or parse_yaml(stated[1], "comment") == default, place
    assert explained == set(SCHEMA)
