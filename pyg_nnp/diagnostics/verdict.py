"""What a check has found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check.

    Attributes:
        field: standard name of the field that was judged.
        summary: a few words for the table.
        warnings: messages of what is wrong; none if all is well, or nothing could be judged.
    """

    field: str
    summary: str
    warnings: tuple[str, ...] = ()


def counted(number: int, what: str, several: str | None = None) -> str:
    """Return ``1 frame`` or ``2 frames``."""
    return f"{number} {what if number == 1 else several or what + 's'}"
