"""Where data come from, and the runs of frames that readers hand on and the store takes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyg_nnp.errors import DataError, did_you_mean
from pyg_nnp.fields import FIELDS, TARGETS

_NAMES_SHOWN = 20

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


@dataclass(frozen=True)
class DataSource:
    """A data file and the names of the fields in it, standard field name -> name in the file, for messages."""

    file: str
    names: Mapping[str, str]

    def field(self, name: str) -> str:
        """Return a field as the file and as this package name it."""
        return f"'{self.names[name]}' ({name})" if name in self.names else f"{name}, which is not in the file,"

    def message(self, name: str, found: str, frames: Sequence[int] | NDArray[Any] | None = None) -> str:
        """Return a message: file, frames, field, what was found and what to do."""
        place = self.file if frames is None else f"{self.file}: {frames_text(frames)}"
        return f"{place}: {self.field(name)} {found}"


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
        return f" If it may be missing, write {name} in Datahub.allow_missing." if name in TARGETS else ""


def frames_text(frames: Sequence[int] | NDArray[Any]) -> str:
    """Name the first five frames and how many more there are."""
    shown = ", ".join(str(int(frame)) for frame in frames[:5])
    more = f" and {len(frames) - 5} more" if len(frames) > 5 else ""
    return f"frame{'s' if len(frames) > 1 else ''} {shown}{more}"


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
    """

    first: int
    arrays: dict[str, NDArray[Any]]
    cells: NDArray[Any] | None = None
    columns: ArrayTypes = field(default_factory=dict)

    @property
    def num_frames(self) -> int:
        """Number of molecules."""
        return len(self.arrays["N"])

    def has(self, name: str) -> NDArray[np.bool_]:
        """Return (G,) whether each frame has all numbers of a field."""
        values = self.arrays[name]
        is_there = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if FIELDS[name].level == "graph":
            return np.asarray(is_there)
        firsts = np.cumsum(self.arrays["N"]) - self.arrays["N"]
        return np.asarray(np.logical_and.reduceat(is_there, firsts))

    def only(self, chosen: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the arrays of some frames, for which (G,) ``chosen`` is true."""
        N = self.arrays["N"]
        rows = {"graph": chosen, "atom": np.repeat(chosen, N)}
        return {name: values[rows[FIELDS[name].level]] for name, values in self.arrays.items()}
