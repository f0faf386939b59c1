"""YAML is read and written, and each mistake is one line with its place."""

import re
import time
from pathlib import Path

import pytest
from configurations import BASE, read, values
from hypothesis import given, settings

from pyg_nnp.config import load_config
from pyg_nnp.config.yaml_reader import MAX_SIZE, format_yaml, parse_yaml
from pyg_nnp.errors import ConfigError

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


def test_text_is_written_as_people_write_it():
    path = "an é in a path that is " + "very " * 50 + "long"
    assert format_yaml({"data_path": path}) == f"data_path: {path}\n"


@given(values)
@settings(max_examples=200, deadline=None)
def test_yaml_round_trip(value):
    again = parse_yaml(format_yaml(value), "t.yaml")
    assert repr(again) == repr(value)
