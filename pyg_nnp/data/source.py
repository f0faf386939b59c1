"""Where data come from, and the runs of frames that readers hand on and the store takes."""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_nnp.errors import DataError, did_you_mean
from pyg_nnp.fields import FIELDS, MAY_BE_MISSING

_NAMES_SHOWN, _FRAMES_SHOWN = 20, 5

CONFLICT = object()
"""In place of a value that a file has twice for one frame, with different values."""


class ArrayType(NamedTuple):
    """What a file has under a name.

    Attributes:
        shape: of the first array.
        dtype: of the first array; of objects where it is none.
        frames: number of frames that have it; None where one array is that of all frames.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    frames: int | None = None


ArrayTypes = dict[str, ArrayType]
"""By the names in a file."""


def add_types(known: ArrayTypes, more: ArrayTypes) -> None:
    """Add what other frames have to what some have."""
    for name, column in more.items():
        if name in known and column.frames is not None:
            known[name] = known[name]._replace(frames=(known[name].frames or 0) + column.frames)
        known.setdefault(name, column)


class FileStart(NamedTuple):
    """One of several files, and the number of its first frame in the data set."""

    name: str
    first: int


@dataclass(frozen=True)
class DataSource:
    """Data files and the names of the fields in them, for messages.

    Attributes:
        file: name of the file, or of all of them together.
        names: standard field name -> name in the file.
        starts: where each file begins; empty, or one without a name, where there is one file.
    """

    file: str
    names: Mapping[str, str]
    starts: Sequence[FileStart] = field(default=(), kw_only=True)

    def field(self, name: str) -> str:
        """Return a field as the file and as this package name it."""
        return f"'{self.names[name]}' ({name})" if name in self.names else f"{name}, which is not in the file,"

    def message(self, name: str, found: str, frames: Sequence[int] | NDArray[Any] | None = None) -> str:
        """Return a message: file, frames, field, what was found and what to do."""
        place = self.file if frames is None else f"{self.file}: {self.frames(frames)}"
        return f"{place}: {self.field(name)} {found}"

    def frame(self, number: int) -> str:
        """Return the number of a frame in the data set; of several files that within its own, and the file."""
        if not self.starts or not self.starts[0].name:
            return str(int(number))
        start = self.starts[bisect_right(self.starts, number, key=lambda start: start.first) - 1]
        return f"{int(number) - start.first} of {start.name}"

    def frames(self, frames: Sequence[int] | NDArray[Any]) -> str:
        """Name the first five frames, by (g,) their numbers in the data set; of several files by those within each."""
        if not self.starts or not self.starts[0].name:
            return frames_text(frames)
        of_files: dict[str, list[int]] = {}
        for frame in map(int, frames[:_FRAMES_SHOWN]):
            start = self.starts[bisect_right(self.starts, frame, key=lambda start: start.first) - 1]
            of_files.setdefault(start.name, []).append(frame - start.first)
        named = ", ".join(f"{frames_text(numbers)} of {name}" for name, numbers in of_files.items())
        return named + _more(frames)


@dataclass(frozen=True)
class Origin(DataSource):
    """Where values come from: besides the file the group of an HDF5 file, and the number of the first frame.

    Numbers of ``optional`` fields may be missing, and are NaN then.
    """

    group: str = ""
    first: int = 0
    optional: Collection[str] = ()

    def error(self, what: str) -> DataError:
        """Return the error for a whole file or group."""
        group = f"group '{self.group}': " if self.group else ""
        return DataError(f"{self.file}: {group}{what}")

    def frame_error(self, frame: int, what: str) -> DataError:
        """Return the error for a frame, counted from ``first``."""
        group = f" in group '{self.group}'" if self.group else ""
        return DataError(f"{self.file}: frame {self.first + frame}{group}: {what}")

    def missing(self, name: str, known: Sequence[str]) -> str:
        """Return a message that a field is missing, with the names that there are."""
        shown = ", ".join(known[:_NAMES_SHOWN]) or "nothing"
        more = f" and {len(known) - _NAMES_SHOWN} more" if len(known) > _NAMES_SHOWN else ""
        usual = next((f" Did you mean '{alias}'?" for alias in FIELDS[name].aliases if alias in known), "")
        near = did_you_mean(self.names[name], known) or usual
        return f"there is no {self.field(name)}.{near} It has: {shown}{more}."

    def hint(self, name: str) -> str:
        """Return what to write where a field is missing in some frames only."""
        return f" If it may be missing, write {name} in Datahub.allow_missing." if name in MAY_BE_MISSING else ""


def frames_text(frames: Sequence[int] | NDArray[Any]) -> str:
    """Name the first five frames and how many more there are."""
    shown = ", ".join(str(int(frame)) for frame in frames[:_FRAMES_SHOWN])
    return f"frame{'s' if len(frames) > 1 else ''} {shown}{_more(frames)}"


def _more(frames: Sequence[int] | NDArray[Any]) -> str:
    return f" and {len(frames) - _FRAMES_SHOWN} more" if len(frames) > _FRAMES_SHOWN else ""


@dataclass(frozen=True)
class Block:
    """Consecutive frames under standard field names, nothing padded.

    Attributes:
        first: number of the first frame, counted from 0 over the whole data set.
        arrays: per field an array whose rows are atoms, (A, ...), or molecules, (G, ...), as ``FIELDS`` says.
            Always holds ``N`` (G,) and ``Za`` (A,), both int64. All else is in the type of the file, at least float64
            where the file has integers or smaller floats.
        cells: (G, 3, 3) vectors of cells of which the file does not say whether they are periodic, in its unit of
            length, 0 for frames without one; None where there are none.
        columns: what these frames have under the names of the file, where it is read frame by frame; else nothing.
        file: of several, the name of the one that the frames are from.
    """

    first: int
    arrays: dict[str, NDArray[Any]]
    cells: NDArray[Any] | None = None
    columns: ArrayTypes = field(default_factory=dict)
    file: str = ""

    @property
    def num_frames(self) -> int:
        """Number of molecules."""
        return len(self.arrays["N"])

    def has(self, name: str) -> NDArray[np.bool_]:
        """Return (G,) whether each frame has all numbers of a field."""
        values = self.arrays[name]
        is_there = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if FIELDS[name].level == "graph":
            return np.asarray(is_there)
        firsts = np.cumsum(self.arrays["N"]) - self.arrays["N"]
        return np.asarray(np.logical_and.reduceat(is_there, firsts))

    def only(self, chosen: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the arrays of some frames, for which (G,) ``chosen`` is true."""
        N = self.arrays["N"]
        rows = {"graph": chosen, "atom": np.repeat(chosen, N)}
        return {name: values[rows[FIELDS[name].level]] for name, values in self.arrays.items()}


def begin_file(starts: list[FileStart], block: Block) -> None:
    """Note where a file begins, if the block is the first of it."""
    if not starts or starts[-1].name != block.file:
        starts.append(FileStart(block.file, block.first))
