"""What is wrong with a configuration file, one problem a line: where, what, what instead."""

from types import NoneType, UnionType
from typing import Any, cast, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pyg_nnp.config.messages import plain_words
from pyg_nnp.config.section import Section
from pyg_nnp.errors import did_you_mean

MAX_PROBLEMS = 10
"""Problems that one message lists."""


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
    """Leave out ``internal_FFs``, which may be left out in the file, and pydantic's mark for a key."""
    return tuple(part for number, part in enumerate(place) if (number, part) != (1, "internal_FFs") and part != "[key]")


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
