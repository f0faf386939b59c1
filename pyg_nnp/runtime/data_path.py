"""The files of a data set as a user names them: a path, a pattern, or a list of both."""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

_SHOWN = 3


@dataclass(frozen=True)
class DataPath:
    """Files and folders by paths and patterns; as text a name of all of them, for messages."""

    entries: tuple[str, ...]

    @classmethod
    def of(cls, given: "str | Path | Sequence[str | Path] | DataPath") -> "DataPath":
        """Return what a configuration or a command line gives, or what this has made of it before."""
        if isinstance(given, DataPath):
            return given
        return cls((str(given),) if isinstance(given, str | Path) else tuple(map(str, given)))

    def __str__(self) -> str:
        more = f" and {len(self.entries) - _SHOWN} more" if len(self.entries) > _SHOWN else ""
        return ", ".join(self.entries[:_SHOWN]) + more

    @property
    def given(self) -> str | list[str]:
        """What a configuration has."""
        return self.entries[0] if len(self.entries) == 1 else [*self.entries]

    def expanded(self) -> list[Path]:
        """Return files and folders, those of a pattern in their natural order; what is not there as it is written."""
        return [path for entry in self.entries for path in _expanded(entry)]

    def resolved(self) -> list[Path]:
        """Return absolute paths, without links."""
        return [path.resolve() for path in self.expanded()]

    def has(self, file: str) -> bool:
        """Return whether a file is one of these, or in one of these folders, by its name alone."""
        return any(
            file == str(Path(entry))
            or Path(entry) in Path(file).parents
            or fnmatchcase(file, entry.replace("**/", "*"))
            for entry in self.entries
        )


def _expanded(entry: str) -> list[Path]:
    if not glob.has_magic(entry) or os.path.lexists(entry):
        return [Path(entry)]
    return in_natural_order(map(Path, glob.glob(entry, recursive=True))) or [Path(entry)]


def in_natural_order(paths: Iterable[Path]) -> list[Path]:
    """Return paths by their texts, in which numbers count as numbers."""
    return sorted(paths, key=lambda path: [(len(part), part) if part.isdigit() else (0, part) for part in _parts(path)])


def _parts(path: Path) -> list[str]:
    return [part for part in re.split(r"(\d+)", str(path)) if part]
