"""Mistakes in Trainer, and what is said of each; shares of the parts."""

import re
from typing import Any

import pytest
from configurations import read

from pyg_nnp.errors import ConfigError

SPLITTER_KEYS = "It takes: method, group, training, validation, test, index_file, parts, ratios, seed, save, preload."

MISTAKES: list[tuple[dict[str, Any], str]] = [
    # unknown keys, at every level
    (
        {"Trainer/learning_rat": 1},
        "Trainer: unknown key 'learning_rat'. Did you mean 'learning_rate'? It takes:",
    ),
    ({"Trainer/parts": ["training"]}, "Trainer: unknown key 'parts'. It belongs under Trainer.Splitter."),
    ({"Trainer/ratio": [1]}, "Trainer: unknown key 'ratio'. It belongs under Trainer.Splitter."),
    ({"Trainer/Splitter/shuffle": True}, f"Trainer.Splitter: unknown key 'shuffle'. {SPLITTER_KEYS}"),
    # given twice
    ({"Trainer/Splitter": {"ratio": [1], "ratios": [1]}}, "Trainer.Splitter: 'ratio' and 'ratios' mean the same;"),
    # missing and empty
    ({"Trainer/batch_size": None}, "Trainer.batch_size: expects a whole number, but is empty."),
    # wrong structure
    ({"Trainer": [1]}, "Trainer: expects a mapping, found a list."),
    ({"Trainer": [], "batch_size": 3}, "unknown key 'batch_size'. It belongs under Trainer."),
    ({"Trainer/Splitter/parts": "training"}, "Trainer.Splitter.parts: expects a list, found 'training' (text); each"),
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
    (
        {"Trainer/schedule": "step"},
        "Trainer.schedule: expects one of linear, constant, cosine, plateau, found 'step' (text).",
    ),
    ({"Trainer/Splitter/method": "even"}, "Trainer.Splitter.method: expects one of random, order"),
    (
        {"Trainer/Splitter/method": "index"},
        "Trainer.Splitter.index_file: 'index_file' says which frames the parts",
    ),
    (
        {"Trainer/Splitter/index_file": "a"},
        "Trainer.Splitter.index_file: 'index_file' says which frames the parts",
    ),
    (
        {"Trainer/Splitter": {"method": "index", "index_file": "a", "ratios": [1, 1, 1]}},
        "Trainer.Splitter.ratios: index_file says how many frames the parts have; leave 'ratios' out",
    ),
    ({"Trainer/Splitter/method": "group"}, "Trainer.Splitter.group: 'group' says which frames are in one part;"),
    ({"Trainer/Splitter/group": "smiles"}, "Trainer.Splitter.group: 'group' says which frames are in one part;"),
    ({"Trainer/Splitter/test": "a.npz"}, "Trainer.Splitter.test: 'test' names files of a part; give it with method:"),
    (
        {"Trainer/Splitter": {"method": "files", "test": ["a.npz"]}},
        "Trainer.Splitter.parts: 'training' is missing among test.",
    ),
    (
        {"Trainer/Splitter": {"method": "files", "training": "a", "ratios": [1, 1, 1]}},
        "Trainer.Splitter.ratios: files say how many frames the parts have; leave 'ratios' out",
    ),
    (
        {"Trainer/Splitter": {"method": "files", "training": "a", "parts": ["training", "test"]}},
        "Trainer.Splitter.parts: method: files has the parts with files, training; leave 'parts' out",
    ),
    ({"Trainer/Splitter": {"method": "files", "training": [3]}}, "Trainer.Splitter.training[0]: expects text, found 3"),
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
