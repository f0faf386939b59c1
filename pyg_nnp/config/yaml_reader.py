"""YAML as PyYAML's safe loader reads it, but ``1e-3`` is a number, and each mistake is one line with its place."""

import math
import re
from pathlib import Path
from typing import Any

import yaml

from pyg_nnp.errors import ConfigError, did_you_mean

MAX_SIZE = 1_000_000  # characters of a configuration, aliases written out

_TAG = "tag:yaml.org,2002:"
_TAGS = {_TAG + name for name in ("map", "seq", "str", "int", "float", "bool", "null", "merge")}
# YAML 1.1 as PyYAML has it wants a point and a signed exponent, and no sign before a leading point.
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$|[-+]\.[0-9][0-9_]*$")
_LONGEST_NUMBER = 5000
# what the escapes of YAML can write but UTF-8 cannot
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_HINTS = {
    r"'\t'": "indent with spaces, not with tabs",
    "mapping values are not allowed": "a ':' too many, a line indented too far, or no space after the ':' before",
    "expected <block end>": "this line does not line up with those above it",
    "unknown escape character": "write a backslash twice, or use single quotes",
    "another document": "a configuration is one document; remove the line '---'",
    "undefined alias": "a text that starts with '*' must stand in quotes",
    "cannot start any token": "a text that starts with this character must stand in quotes",
}


class _Loader(yaml.SafeLoader):
    """Safe loader that also refuses numbers that are not finite or too large for 64 bits."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag in (_TAG + "int", _TAG + "float") and len(node.value) > _LONGEST_NUMBER:
            # in base 60 (1:30) it would take minutes to find out how large it is
            raise _error(f"this number has more than {_LONGEST_NUMBER} characters", node)
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, LookupError, ArithmeticError) as error:
            raise _error(f"'{node.value:.40}' cannot be read as {node.tag.removeprefix(_TAG)}", node) from error
        if isinstance(value, float) and not math.isfinite(value):
            raise _error(f"{node.value} is not a finite number", node)
        if isinstance(value, int) and abs(value) >= 2**63:
            raise _error("this number has more than 64 bits", node)
        if isinstance(value, str) and _HALF_CHARACTER.search(value):
            raise _error("this text has half a character in it", node)
        return value


class _Dumper(yaml.SafeDumper):
    """Safe dumper without anchors that indents lists."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML leaves these as they are unless told to escape them, and reads them as the ends of lines
    style = '"' if any(character in text for character in "\x85\u2028\u2029") else None
    return dumper.represent_scalar(_TAG + "str", text, style=style)


_Dumper.add_representer(str, _represent_text)
# Dates and a lone '=' stay text. The dumper keeps their resolvers, so that it quotes such texts.
_Loader.yaml_implicit_resolvers = {
    character: [(tag, pattern) for tag, pattern in resolvers if tag in _TAGS]
    for character, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(_TAG + "float", _FLOAT, list("-+.0123456789"))


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds: UTF-8, at most ``MAX_SIZE`` characters.

    Raises:
        ConfigError: no such file, not readable, or not YAML.
    """
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: this is a folder; name the YAML file in it.")
        with path.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
        if len(content) > MAX_SIZE:
            raise ConfigError(
                f"{path}: the file has more than {MAX_SIZE:,} bytes; a configuration is a short YAML file."
            )
        return parse_yaml(content.decode("utf-8"), str(path))
    except FileNotFoundError as error:
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.y*ml")])
        raise ConfigError(f"{path}: there is no such file, seen from '{Path.cwd()}'.{near}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8 text; name a YAML file, saved as UTF-8.") from error


def parse_yaml(text: str, source: str) -> Any:
    """Return what a YAML text holds, one document; ``source`` is for messages.

    Raises:
        ConfigError: not YAML; a key that is given twice or is no text; a tag beyond plain values; too long with its
            aliases written out.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _checked_size(node, {})
        return loader.construct_document(node)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{source}: line {line}: the character {chr(error.character)!r} is not allowed in YAML."
        ) from error
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{source}: {_explained(error)}") from error
    except (ValueError, OverflowError) as error:  # of the scanner: the code of a character, the version of YAML
        raise ConfigError(f"{source}: line {loader.line + 1}: this is not YAML ({error}).") from error
    except RecursionError as error:
        raise ConfigError(f"{source}: lists and mappings are nested too deeply.") from error


def format_yaml(value: Any) -> str:
    """Return plain values as YAML that :func:`parse_yaml` reads back unchanged."""
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, indent=2, width=math.inf
    )


def _error(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _explained(error: yaml.MarkedYAMLError) -> str:
    """Return place, problem and advice as one line."""
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = error.problem or error.context or "not YAML"
    if error.context and error.context_mark and error.problem != error.context:
        problem += f" ({error.context} from line {error.context_mark.line + 1})"
    hint = next((f"; {hint}" for text, hint in _HINTS.items() if text in problem), "")
    return f"{place}{problem}{hint}."


def _checked_size(node: yaml.Node, sizes: dict[int, float]) -> float:
    """Check a node and all below it; return its length in characters, aliases written out.

    Done before anything is built from the nodes: merged keys and nested aliases grow exponentially.
    """
    if id(node) in sizes:
        return sizes[id(node)]
    sizes[id(node)] = math.inf  # while its parts are looked at: an alias of a node within itself never ends
    if node.tag not in _TAGS:
        raise _error(f"the tag {node.tag.replace(_TAG, '!!')} is not allowed in a configuration", node)
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        size = sum(_checked_size(part, sizes) for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        size = sum(_checked_size(part, sizes) for part in node.value)
    else:
        size = len(node.value)
    if size > MAX_SIZE:
        raise _error(f"the aliases in here never end, or amount to more than {MAX_SIZE:,} characters", node)
    sizes[id(node)] = size + 1
    return size + 1


def _check_keys(mapping: yaml.MappingNode) -> None:
    """Check that the keys are texts, each given once."""
    lines: dict[str, int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _error("a list or mapping cannot be a key", key)
        if key.tag == _TAG + "null":
            raise _error("a key is missing before ':'", key)
        if key.tag not in (_TAG + "str", _TAG + "merge"):
            meaning = "true or false" if key.tag == _TAG + "bool" else "a number"
            raise _error(f"YAML reads the key {key.value} as {meaning}; write '{key.value}', in quotes", key)
        if key.value in lines:
            raise _error(f"the key '{key.value}' is given twice, first in line {lines[key.value]}", key)
        lines[key.value] = key.start_mark.line + 1
