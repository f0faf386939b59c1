"""A section of a configuration file, and what is wrong with its values, in plain words."""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from pyg_nnp.errors import did_you_mean

Text = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Options = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
Precision = Annotated[
    Literal["float32", "float64"],
    BeforeValidator(lambda value: {"single": "float32", "double": "float64"}.get(str(value), value)),
]

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


class Section(BaseModel):
    """A mapping with known keys; any other key is an error.

    Attributes:
        other_names: other spellings of keys, with the one that the schema has.
        advice: what to tell a user who gives an unknown key.
        moved_names: keys of a section below that may stand in this one, too.
        places: of a whole file: what to call its sections when a key stands in the wrong one.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, validate_assignment=True)
    other_names: ClassVar[dict[str, str]] = {}
    moved_names: ClassVar[tuple[str, ...]] = ()
    advice: ClassVar[str] = ""
    places: ClassVar[dict[str, type["Section"]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _canonical(cls, value: Any) -> Any:
        if value is None and not any(field.is_required() for field in cls.model_fields.values()):
            return {}
        if not isinstance(value, dict):
            return value
        for other, name in cls.other_names.items():
            if other in value and name in value:
                raise problem(f"'{other}' and '{name}' mean the same; give one of them")
        return cls.respell({cls.other_names.get(key) or key: part for key, part in value.items()})

    @classmethod
    def respell(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Return the section in its canonical structure."""
        return value


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
