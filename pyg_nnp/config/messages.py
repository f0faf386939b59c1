"""What is wrong in a configuration file, in plain words."""

import re
from types import NoneType, UnionType
from typing import Any, cast, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pyg_nnp.config.loss import WEIGHT_MARKS
from pyg_nnp.config.section import Section
from pyg_nnp.errors import did_you_mean

MAX_PROBLEMS = 10  # that one message lists
_WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
_BOUNDS = {
    "greater_than": "greater than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
}


def explained(error: ValidationError, root: type[Section]) -> str:
    """Return what is wrong in a file, one a line; unknown keys first: what is missing is often one of them misspelt."""
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    lines = [_line(detail, root) for detail in details[:MAX_PROBLEMS]]
    if len(details) > MAX_PROBLEMS:
        lines.append(f"and {len(details) - MAX_PROBLEMS} more.")
    return "\n  ".join(lines)


def _line(detail: ErrorDetails, root: type[Section]) -> str:
    """Return place and detail in plain words."""
    place, key, kind = detail["loc"], detail["loc"][-1] if detail["loc"] else "", detail["type"]
    if kind == "config":
        place, text = (*place, *detail["ctx"]["where"]), detail["ctx"]["text"]
    elif kind == "extra_forbidden":
        place, text = place[:-1], _unknown(str(key), _section_at(place[:-1], root), root)
    elif kind == "missing":
        place = place[:-1]
        text = f"'{key}' is missing: {_section_at(place, root).model_fields[str(key)].description}"
    else:
        text = plain_words(detail)
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in _shortened(place))
    return f"{written.removeprefix('.')}{': ' if written else ''}{text}{'' if text.endswith('?') else '.'}"


def _shortened(place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Leave out ``internal_FFs``, which may be left out in the file, and pydantic's marks."""
    marks = ("[key]", *WEIGHT_MARKS)
    return tuple(p for number, p in enumerate(place) if (number, p) != (1, "internal_FFs") and p not in marks)


def _section_at(place: tuple[str | int, ...], root: type[Section]) -> type[Section]:
    kind: Any = root
    for key in place:
        kind = kind.model_fields[key].annotation if hasattr(kind, "model_fields") else get_args(kind)[-1]
        if isinstance(kind, UnionType):  # a section that may be left out
            (kind,) = (part for part in get_args(kind) if part is not NoneType)
    return cast(type[Section], kind)


def _unknown(key: str, section: type[Section], root: type[Section]) -> str:
    """Return what to say of a key that the section does not have."""
    known = [*section.model_fields, *section.other_names, *section.moved_names]
    places = (place for place, other in root.places.items() if key in other.model_fields or key in other.other_names)
    near = next((f" It belongs under {place}." for place in places), did_you_mean(key, known))
    return f"unknown key '{key}'.{near} It takes: {', '.join(section.model_fields)}.{section.advice}".removesuffix(".")


def plain_words(error: ErrorDetails) -> str:
    """Return what pydantic found wrong with a single value, in plain words, without its place and a full stop."""
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", context["expected"])
        near = did_you_mean(found, known) if isinstance(found, str) else ""
        return f"expects {'one of ' * (len(known) > 1)}{', '.join(known)}, {_found(error)}{near and '.' + near}"
    if kind in _WANTED:
        return f"expects {_WANTED[kind]}, {_found(error)}"
    if kind in _BOUNDS:
        return f"must be {_BOUNDS[kind]} {next(iter(context.values())):.10g}, found {shown(found)}"
    if kind in ("string_too_short", "too_short"):
        return "is empty, but needed"
    return error["msg"][0].lower() + error["msg"][1:]


def _found(error: ErrorDetails) -> str:
    """Return what was found, and how it may have been meant."""
    kind, found = error["type"], error["input"]
    if found is None:
        return "but is empty"
    hint = ""
    if kind == "string_type" and isinstance(found, bool | int | float):
        hint = "; put it in quotes if it is meant as text"
    elif kind == "list_type":
        hint = "; each entry of a list starts with '- '"
    elif kind == "model_type" and isinstance(found, str) and "layers" in error["loc"]:
        hint = f"; write '- name: {found}'"
    elif kind == "int_type" and isinstance(found, float) and found.is_integer():
        hint = f"; write {int(found)}"
    elif kind in ("int_type", "float_type", "bool_type") and isinstance(found, str):
        if re.fullmatch(r"[-+.0-9eE]+|true|false", found):
            hint = "; leave out the quotes"
        elif re.fullmatch(r"[-+]?[0-9]+,[0-9]+", found):
            hint = "; write a point, not a comma"
        elif number := re.fullmatch(r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?) *[A-Za-zÅ°/%]+", found):
            hint = f"; write {number[1]}, without a unit"
    return f"found {shown(found)}{hint}"


def shown(value: Any) -> str:
    """Return a value as it may stand in a message."""
    for kind, name in ((bool, "truth value"), (int, "whole number"), (float, "number"), (str, "text")):
        if isinstance(value, kind):
            text = repr(value[:60]) if isinstance(value, str) else str(value).lower()
            return f"{text} ({name})"
    return {"list": "a list", "dict": "a mapping"}.get(type(value).__name__, type(value).__name__)
