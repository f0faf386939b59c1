"""The tables that are made from the code when the documentation is built.

A line ``<!-- made from the code: NAME -->`` of a page is replaced by what the function for NAME in ``TABLES`` returns.
"""

import argparse
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from pyg_nnp.commands import cli
from pyg_nnp.config import Config, Section
from pyg_nnp.fields import FAMILY, FEATURES, FIELDS, TARGETS, WEIGHTS
from pyg_nnp.layers import LAYERS, Layer
from pyg_nnp.layers.cores import CORES
from pyg_nnp.potential.build import options_of

Schema = Mapping[str, Any]
_TYPES = {"boolean": "true or false", "integer": "whole number", "number": "number", "string": "text", "null": "null"}
_BOUNDS = {
    "exclusiveMinimum": "greater than {}",
    "minimum": "at least {}",
    "exclusiveMaximum": "less than {}",
    "maximum": "at most {}",
}
# where the builder knows better than the constructor
_FILLED_IN = {("EnergyReduce", "terms"): "all energy terms of the layers before"}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in markdown."""
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def type_in_words(schema: Schema) -> str:
    """Return the type that a JSON schema asks for."""
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(map(type_in_words, choices))
    if "enum" in schema or "const" in schema:
        *most, last = (f"`{choice}`" for choice in schema.get("enum") or [schema["const"]])
        return f"{', '.join(most)} or {last}" if most else last
    if "$ref" in schema:
        return "mapping"
    if schema.get("type") == "array":
        return f"list of {plural(schema['items'])}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"mapping to {plural(inner)}" if isinstance(inner, Mapping) else "mapping"
    bounds = [words.format(schema[key]) for key, words in _BOUNDS.items() if key in schema]
    return " ".join([_TYPES[schema["type"]], " and ".join(bounds)]).strip()


def plural(schema: Schema) -> str:
    """Return the type of several entries, in parentheses where it would be misread."""
    words = type_in_words(schema)
    return f"({words})" if " or " in words else re.sub(r"\b(number|mapping)\b", r"\1s", words)


def shown(value: Any) -> str:
    """Return a value as YAML has it, on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


def _default(name: str, section: Schema) -> str:
    schema = section["properties"][name]
    if name in section.get("required", ()):
        return "required"
    if "default" not in schema or isinstance(schema["default"], Mapping):
        return "may be left out"
    return f"`{shown(schema['default'])}`"


def configuration() -> str:
    """Return the tables of all keys."""
    whole = Config.model_json_schema()
    spellings = {kind.__name__: kind.other_names for kind in Section.__subclasses__()}
    return "\n\n".join(_section("", "Config", whole, whole["$defs"], spellings))


def _section(place: str, kind: str, schema: Schema, known: Schema, spellings: Mapping[str, Any]) -> Iterator[str]:
    """Yield heading and table of a section, then those of the sections in it."""
    others = {name: other for other, name in spellings[kind].items()}
    yield f"## {f'`{place}`' if place else 'The whole file'}"
    rows = []
    for name, key in schema["properties"].items():
        meaning = key["description"] + (f"; `{others[name]}` is read, too" if name in others else "")
        rows.append((f"`{name}`", type_in_words(key), _default(name, schema), meaning))
    yield table(("key", "type", "default", "meaning"), rows)
    for name, key in schema["properties"].items():
        inner = key.get("additionalProperties")
        for part, suffix in ((key, ""), (key.get("items"), "[]"), (inner, ".NAME")):
            if isinstance(part, Mapping) and "$ref" in part:
                below = part["$ref"].rpartition("/")[2]
                yield from _section(f"{place}.{name}{suffix}".lstrip("."), below, known[below], known, spellings)


def options_of_layers() -> str:
    """Return a table of the options of each layer that has any."""
    kinds: dict[str, type[Layer]] = {**LAYERS, **{f"Core, architecture {name}": core for name, core in CORES.items()}}
    parts = []
    for name, kind in kinds.items():
        schema = options_of(kind).model_json_schema()
        if not schema["properties"]:
            parts.append(f"### {name}\n\nNo options.")
            continue
        meanings = arguments(kind)
        rows = [
            (f"`{key}`", type_in_words(option), _FILLED_IN.get((name, key)) or _default(key, schema), meanings[key])
            for key, option in schema["properties"].items()
        ]
        parts.append(f"### {name}\n\n" + table(("option", "type", "default", "meaning"), rows))
    return "\n\n".join(parts)


def arguments(kind: type) -> dict[str, str]:
    """Return what the docstring of a class says of each argument, as markdown."""
    text = inspect.getdoc(kind) or ""
    section = re.search(r"^Args:\n((?: .*\n|\n)+)", text + "\n", re.MULTILINE)
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.MULTILINE)
    return {name: _markdown(meaning) for name, meaning in entries}


def _markdown(text: str) -> str:
    text = re.sub(r":math:`([^`]*)`", r"{math}`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|")


def fields() -> str:
    """Return the table of the standard fields."""
    head = ("name", "one row for each", "shape of a row", "unit", "numbers", "meaning", "also called")
    parts = {
        "Input": FEATURES,
        "Output with labels": TARGETS,
        "Weights in the loss": WEIGHTS,
        "In the split": [FAMILY],
        "Within a potential": [name for name in FIELDS if name not in (*FEATURES, *TARGETS, *WEIGHTS, FAMILY)],
    }
    return "\n\n".join(f"## {title}\n\n" + table(head, map(_field, names)) for title, names in parts.items())


def _field(name: str) -> list[str]:
    field = FIELDS[name]
    level = {"graph": "molecule", "pair": "pair i < j", "edge": "edge j → i"}.get(field.level, field.level)
    shape = f"({', '.join(map(str, field.shape))}{',' * (len(field.shape) == 1)})" if field.shape else "one number"
    numbers = {"int": "whole", "float": "`dtype` of the training", "float64": "float64", "text": "text"}[field.dtype]
    unit = "" if field.unit == "1" else field.unit
    return [f"`{name}`", level, shape, unit, numbers, field.meaning, ", ".join(f"`{a}`" for a in field.aliases)]


def commands() -> str:
    """Return the help of each command."""
    (action,) = (a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    return "\n\n".join(f"## {name}\n\n```text\n{made.format_help()}```" for name, made in action.choices.items())


TABLES: dict[str, Callable[[], str]] = {
    "configuration": configuration,
    "options of layers": options_of_layers,
    "fields": fields,
    "commands": commands,
}


def _fill_in(_app: Sphinx, _page: str, content: list[str]) -> None:
    content[0] = re.sub(r"<!-- made from the code: (.*) -->", lambda found: TABLES[found[1]](), content[0])


def _without_bounds(*found: Any) -> tuple[str | None, str | None]:
    """Leave what pydantic checks out of a signature; the tables of options have it in words."""
    signature, returned = found[-2:]
    return re.sub(r"Annotated\[(\w+), (?:[^\[\]]|\[[^\[\]]*\])*\]", r"\1", signature or "") or None, returned


def setup(app: Sphinx) -> ExtensionMetadata:
    """Let pages be filled in as they are read."""
    app.connect("source-read", _fill_in)
    app.connect("autodoc-process-signature", _without_bounds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
