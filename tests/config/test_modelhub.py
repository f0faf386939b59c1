"""Mistakes in Modelhub, and what is said of each; the names of folders."""

import re
from typing import Any

import pytest
from configurations import FF01, read

from pyg_nnp.errors import ConfigError

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
    ({"FF/activ": True}, f"Modelhub.FF01: unknown key 'activ'. Did you mean 'active'? {MODEL_KEYS}"),
    ({"FF/dim_embedding": 3}, f"Modelhub.FF01: unknown key 'dim_embedding'. {MODEL_KEYS}"),
    ({"FF/layers/1/cutoff": 3}, "Modelhub.FF01.layers[1]: unknown key 'cutoff'. It takes: name, params. Options of a"),
    (
        {"Modelhub/architecture": "SchNet"},
        "Modelhub: unknown key 'architecture'. It belongs under a model in Modelhub.",
    ),
    ({"Modelhub": {"internal_FF": {"A": FF01}}}, "Modelhub: unknown key 'internal_FF'. Did you mean 'internal_FFs'?"),
    ({"Modelhub": {"A": {"architectur": "S"}}}, "Modelhub.A: unknown key 'architectur'. Did you mean 'architecture'?"),
    # given twice
    ({"Modelhub/FF01": FF01}, "Modelhub.FF01: the model is given both in internal_FFs and directly."),
    ({"FF/loss/E": {"rmse": 2}}, "Modelhub.FF01.loss.rmse.E: the weight of 'E' is given twice."),
    # kinds of errors that a field has not
    ({"FF/loss": {"mae_per_atom": {"Fa": 1}}}, "Modelhub.FF01.loss.mae_per_atom.Fa: 'Fa' has a value for each atom"),
    ({"FF/loss": {"l2norm": {"E": 1}}}, "Modelhub.FF01.loss.l2norm.E: 'E' is no vector; put it under 'mae'."),
    ({"FF/loss": {"huber_1_per_atom": {"Fa": 1}}}, "Modelhub.FF01.loss.huber_1_per_atom.Fa: 'Fa' has a value for each"),
    (
        {"FF/loss": {"huber": {"Fa": 1}}},
        "Modelhub.FF01.loss.huber: the Huber loss has a delta in its name, in the unit",
    ),
    ({"FF/loss": {"huber_-1": {"Fa": 1}}}, "Modelhub.FF01.loss.huber_-1: the Huber loss has a delta in its name"),
    # weights that change
    (
        {"FF/loss/rmse/E": {"from": 1}},
        "Modelhub.FF01.loss.rmse.E: a weight that changes has two values, such as {from: 1, to: 0.1}.",
    ),
    (
        {"FF/loss/rmse/E": {"from": 1, "till": 2}},
        "Modelhub.FF01.loss.rmse.E.till: expects one of from, to, found 'till' (text)",
    ),
    ({"FF/loss/rmse/E": {"from": 1, "to": -2}}, "Modelhub.FF01.loss.rmse.E.to: must be at least 0, found -2"),
    ({"FF/loss/rmse/E": "1"}, "Modelhub.FF01.loss.rmse.E: expects a number, found '1' (text); leave out the quotes."),
    ({"FF/loss": {"rmse": {"E": {"from": 0, "to": 0}}}}, "Modelhub.FF01.loss: all weights are 0; at least one must be"),
    ({"Metrics": {"rmse": {"E": {"from": 1, "to": 0}}}}, "Metrics.rmse.E: expects a number, found a mapping."),
    # missing and empty
    ({"Modelhub": {}}, "Modelhub: 'internal_FFs' is missing: the models, each under a name of your choice."),
    ({"Modelhub": {"internal_FFs": None}}, "Modelhub: expects a mapping, but is empty."),
    ({"Modelhub/internal_FFs": {}}, "Modelhub: at least one model must be active; set 'active: true' in it."),
    ({"Modelhub/FF02": None}, "Modelhub.FF02: expects a mapping, but is empty."),
    ({"FF/layers": []}, "Modelhub.FF01.layers: is empty, but needed."),
    ({"FF/layers/1": {"params": {}}}, "Modelhub.FF01.layers[1]: 'name' is missing: name of the layer, or package"),
    ({"FF/loss": {"rmse": {}}}, "Modelhub.FF01.loss: at least one term is needed, such as 'rmse: {E: 1}'."),
    # wrong structure
    ({"FF/layers": {"name": "Core"}}, "Modelhub.FF01.layers: expects a list, found a mapping; each entry of a list"),
    ({"FF/layers/0": "Core"}, "Modelhub.FF01.layers[0]: expects a mapping, found 'Core' (text); write '- name: Core'."),
    ({"FF/layers/0/params": [1]}, "Modelhub.FF01.layers[0].params: expects a mapping, found a list."),
    ({"FF/build_params": 3}, "Modelhub.FF01.build_params: expects a mapping, found 3 (whole number)."),
    # wrong types
    ({"FF/loss/rmse/E": True}, "Modelhub.FF01.loss.rmse.E: expects a number, found true (truth value)."),
    (
        {"FF/suffix": 1},
        "Modelhub.FF01.suffix: expects text, found 1 (whole number); put it in quotes if it is meant as text.",
    ),
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
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=[message[:50] for _, message in MISTAKES])
def test_mistake_is_explained(changes, message):
    with pytest.raises(ConfigError, match="^train.yaml: " + re.escape(message)):
        read(changes)


def test_folder_has_the_name_of_the_class_and_the_suffix():
    config = read({"FF/suffix": "v1.2", "FF/architecture": "my_package.cores:MyCore", "Modelhub/B": FF01})
    assert config.folder_name("FF01") == "FF01-MyCore-v1.2"
    assert config.folder_name("B") == "B-SchNet"
