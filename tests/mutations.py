"""Configurations that were tampered with: keys, types, values and structure of the toy configuration."""

import copy
import io
import re
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st
from toy import toy_config

from pyg_nnp.commands.cli import is_out_of_memory
from pyg_nnp.commands.train import train
from pyg_nnp.config import load_config
from pyg_nnp.errors import ConfigError, UserError

OUTCOMES = ("refused", "failed", "trained")
Place = tuple[Any, ...]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 2, 7, -1, 10**9, 10**30, 0.5, -0.5, 1.0, 1e300, 1e-300),
    *("", "SchNet", "fit", "pickle", "float64", "E", "Fa", "1e-3", "a/b", "../x", "/x", "é", "x" * 300, "os:system"),
    *("a\0b", "\x1b[31m", "!!python/name:os.system", "${HOME}", "~", "core", "Core", "Force", "mae", "test"),
    *([], {}, [1], [None], {"a": 1}, {"E": 1}, {"rmse": {"E": 1}}, [[1]], [0.5, 0.5], ["training"], {"name": "Force"}),
]
KEYS = ["E", "Ra", "name", "params", "Trainer", "seed", "suffix", "batch_size", "layers", "x", "rmse", "", "é", "a.b"]
# a message says where: a line of the file, or a path of keys that begins with a section
WHERE = re.compile(r"line \d+, column \d+|\b(Datahub|Modelhub|Trainer|Metrics)\b|expects a mapping|unknown key '")
# what only the data or the training show: the file at fault, or the epoch
FAILED = re.compile(r"(train\.yaml|dataset\.pkl|atomic_energy\.csv|epoch 1): |no epoch had a finite")


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of each value in nested dicts and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*place, key)
        yield from places(part, (*place, key))


def at(document: Any, place: Place) -> Any:
    for key in place:
        document = document[key]
    return document


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw the text of a configuration with one to three changes."""
    document = toy_config(Trainer__max_epochs=1)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        if known := list(places(document)):
            mutate(draw, document, draw(st.sampled_from(known)), known)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    if draw(st.integers(0, 9)) == 0:  # a line twice: a key twice, or what does not line up
        lines = text.splitlines(keepends=True)
        number = draw(st.integers(0, len(lines) - 1))
        text = "".join([*lines[:number], draw(st.sampled_from(["", " ", "\t"])), *lines[number:][:1], *lines[number:]])
    return text


def mutate(draw: st.DrawFn, document: Any, place: Place, known: list[Place]) -> None:
    *above, key = place
    parent = at(document, tuple(above))
    other = draw(st.sampled_from(known))
    kind = draw(st.sampled_from(["delete", "value", "copy", "nest", "rename", "move"]))
    if kind == "value":
        parent[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    elif kind == "copy":
        parent[key] = copy.deepcopy(at(document, other))
    elif kind == "nest":
        parent[key] = draw(st.sampled_from([[parent[key]], {key: parent[key]}]))
    else:
        part = parent.pop(key)
        if kind == "rename" and isinstance(parent, dict):
            parent[draw(st.sampled_from([*KEYS, f"{key}s", str(key)[:-1], str(key).lower()]))] = part
        elif kind == "move" and other[: len(place)] != place:
            target = next(value for value in (at_or_none(document, other), document) if isinstance(value, dict))
            target[str(key)] = part


def at_or_none(document: Any, place: Place) -> Any:
    try:
        return at(document, place)
    except (KeyError, IndexError, TypeError):  # it was part of a list whose numbers have changed
        return None


def run_mutated(folder: Path, text: str) -> str:
    """Load a configuration and train for one epoch, in a folder with the toy data.

    Returns:
        ``refused``, with a message that says where; ``failed``, with another message of ours; ``trained``.
    """
    (folder / "train.yaml").write_text(text)
    with chdir(folder), redirect_stderr(io.StringIO()):
        try:
            config = load_config("train.yaml")
        except ConfigError as error:
            return "refused" if WHERE.search(str(error)) else f"refused without a place: {error}"
        config.Trainer.max_epochs = 1
        try:
            train(config, folder / "out")
        except UserError as error:
            return "failed" if FAILED.match(str(error)) else f"failed without a place: {error}"
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return "failed"
    return "trained"
