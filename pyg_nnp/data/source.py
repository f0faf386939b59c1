"""Where data come from, and the runs of frames that readers hand on and the store takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


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
    """

    first: int
    arrays: dict[str, NDArray[Any]]
    cells: NDArray[Any] | None = None

    @property
    def num_frames(self) -> int:
        """Number of molecules."""
        return len(self.arrays["N"])
