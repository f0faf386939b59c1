"""A run of frames as flat arrays: what readers hand on and what the store takes."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Block:
    """Consecutive frames under standard field names, nothing padded.

    Attributes:
        first: number of the first frame, counted from 0 over the whole data set.
        arrays: per field an array whose rows are atoms, (A, ...), or molecules, (G, ...), as ``FIELDS`` says.
            Always holds ``N`` (G,) and ``Za`` (A,), both int64. All else is in the type of the file, at least float64
            where the file has integers or smaller floats.
    """

    first: int
    arrays: dict[str, NDArray[Any]]

    @property
    def num_frames(self) -> int:
        """Number of molecules."""
        return len(self.arrays["N"])
