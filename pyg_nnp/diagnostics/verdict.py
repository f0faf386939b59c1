"""What a check has found, and how frames and fields are named in messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


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


@dataclass(frozen=True)
class Source:
    """Where the data are from.

    Attributes:
        file: the data file.
        names: standard field name -> name in the file.
    """

    file: str
    names: dict[str, str]

    def field(self, name: str) -> str:
        """Return a field as the file and as this package name it."""
        return f"'{self.names[name]}' ({name})" if name in self.names else f"{name}, which is not in the file,"

    def warning(self, name: str, found: str, frames: Sequence[int] | NDArray[Any] | None = None) -> str:
        """Return a message: file, frames, field, what was found and what to do."""
        place = self.file if frames is None else f"{self.file}: {in_words(frames)}"
        return f"{place}: {self.field(name)} {found}"


def in_words(frames: Sequence[int] | NDArray[Any]) -> str:
    """Name the first five frames and how many more there are."""
    shown = ", ".join(str(int(frame)) for frame in frames[:5])
    more = f" and {len(frames) - 5} more" if len(frames) > 5 else ""
    return f"frame{'s' if len(frames) > 1 else ''} {shown}{more}"


def counted(number: int, what: str, several: str | None = None) -> str:
    """Return ``1 frame`` or ``2 frames``."""
    return f"{number} {what if number == 1 else several or what + 's'}"
