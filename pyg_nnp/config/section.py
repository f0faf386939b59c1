"""A section of a configuration file, and types of its values."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Text = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Options = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
Precision = Annotated[
    Literal["float32", "float64"],
    BeforeValidator(lambda value: {"single": "float32", "double": "float64"}.get(str(value), value)),
]


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
