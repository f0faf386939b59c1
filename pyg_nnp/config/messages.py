"""What pydantic finds wrong with a value, in plain words."""

import re
from typing import Any

from pydantic_core import ErrorDetails, PydanticCustomError

from pyg_nnp.errors import did_you_mean

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


def problem(text: str, *where: str | int) -> PydanticCustomError:
    """Return an error for pydantic to collect, at ``where`` below the section that is being checked."""
    return PydanticCustomError("config", "{text}", {"text": text, "where": where})


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
