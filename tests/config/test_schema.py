"""The configuration: what is read, in which spellings, and what each mistake is told."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from configurations import FF01, REMOVED, read, texts, values
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pyg_nnp.config import Config, Section, Splitter, Trainer, config_from_dict, dump_config, load_config
from pyg_nnp.config.yaml_reader import parse_yaml
from pyg_nnp.errors import ConfigError
from pyg_nnp.fields import FEATURES, OF_CELLS, TARGETS

ROOT = Path(__file__).resolve().parents[2]
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
  allow_missing: []
  group_weights: {}
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
    group: null
    training: null
    validation: null
    test: null
    index_file: null
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
  ema: null
  learning_rate: 0.001
  max_epochs: 1000
  max_time: null
  max_norm: null
  num_workers: 0
  optimizer: adam
  patience: 50
  plateau_patience: 10
  report: true
  resume: false
  seed: 42
  tensorboard: false
  warmup_ratio: 0.0
  weight_decay: 0.0
Metrics:
  rmse:
    E: 1.0
"""

MISTAKES: list[tuple[dict[str, Any], str]] = [
    # unknown keys, at every level
    ({"datahub": {}}, "unknown key 'datahub'. Did you mean 'Datahub'? It takes: Datahub, Modelhub, Trainer, Metrics."),
    ({"batchsize": 3}, "unknown key 'batchsize'. Did you mean 'batch_size'?"),
    ({"data_path": "x"}, "unknown key 'data_path'. It belongs under Datahub."),
    # given twice
    ({"seed": 1, "Trainer/seed": 1}, "Trainer.seed: the key is given both in Trainer and at the top level."),
    ({"Metric": {}}, "'Metric' and 'Metrics' mean the same; give one of them."),
    # wrong structure
    ({"Metrics": "rmse"}, "Metrics: expects a mapping, found 'rmse' (text)."),
    # loss and metrics
    ({"Metrics": {"mse": {"E": 1}}}, "Metrics.mse: unknown function. Did you mean 'rmse'? There are: rmse, mae."),
    (
        {"Metrics": {"rmse": {"M2": 1}}},
        "Metrics.rmse.M2: the label 'M2' is missing from Datahub.targets, which has: E,",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=[message[:50] for _, message in MISTAKES])
def test_mistake_is_explained(changes, message):
    with pytest.raises(ConfigError, match="^train.yaml: " + re.escape(message)):
        read(changes)


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
    for key in ("index_file", "group", "training", "validation", "test"):
        assert canonical["Trainer"]["Splitter"].pop(key) is None
    later = {"ema": None, "max_time": None, "optimizer": "adam", "plateau_patience": 10, "weight_decay": 0.0}
    assert {key: canonical["Trainer"].pop(key) for key in later} == later
    assert canonical["Trainer"] == {key: printed[key] for key in canonical["Trainer"]}
    model = canonical["Modelhub"]["internal_FFs"]["FF01"]
    assert [entry["name"] for entry in model["layers"]] == [e["name"] for e in printed["Modelhub"]["FF01"]["layers"]]
    assert model["loss"] == printed["Modelhub"]["FF01"]["loss"]
    assert model["build_params"] == printed["Modelhub"]["FF01"]["build_params"]
    printed["Datahub"]["transforms"]["total_energy_normalization"] = False
    printed["Datahub"] |= {"in_memory": None, "allow_missing": [], "group_weights": {}}
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


@pytest.mark.parametrize("changes", [{"Trainer/patience": None}, {"FF/loss/rmse/Q": 1}, {"FF/loss/rmse/E": 0}])
def test_permitted_value_is_read(changes):
    assert dump_config(read(changes)) != dump_config(read({}))


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


options = st.dictionaries(texts, values, max_size=3)
weights = st.floats(0, 1e300) | st.integers(0, 10)
positive = st.floats(0, exclude_min=True, allow_infinity=False)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    named = sorted(draw(st.sets(st.sampled_from(TARGETS), min_size=1)))
    others = draw(st.sets(st.sampled_from(("N", "Q", "cell")))) | ({"cell"} if "S" in named else set())
    features = ["Ra", "Za", *sorted(others)]
    sources = draw(st.lists(texts.filter(bool), min_size=10, max_size=10, unique=True))
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
            "features": dict(zip(features, sources[:5], strict=False)),
            "targets": dict(zip(named, sources[5:], strict=False)),
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
    assert set(config.Datahub.features) == {*FEATURES} - {*OF_CELLS}
    assert set(config.Datahub.targets) == {*TARGETS} - {"S"}


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
