"""Contents of a report: sample of the data, errors of the potential."""

import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from pyg_nnp.training.metrics import ErrorRow, Errors

Array = NDArray[Any]


@dataclass(frozen=True)
class Sample:
    """A random sample of a data set, for histograms.

    Attributes:
        frames: number of frames that it is made of.
        total: number of frames of the data set.
        values: field -> rows, (molecules or atoms, ...); of ``E`` less the reference energies.
        distances: (n,) from each atom to another one of its frame, chosen at random.
    """

    frames: int
    total: int
    values: dict[str, Array]
    distances: Array


@dataclass(frozen=True)
class Points:
    """True and predicted numbers of a field, those of molecules and atoms one after the other.

    Attributes:
        true: (n,) true numbers; of ``E`` less the reference energies.
        predicted: (n,) likewise.
        total: number of these numbers in the part; the points are all or a random sample of them.
        spread: standard deviation of the true ones; of numbers of single atoms from the mean of their element.
        Za: (n,) atomic numbers, if each atom has one of these numbers.
    """

    true: Array
    predicted: Array
    total: int
    spread: float = math.nan
    Za: Array | None = None


@dataclass(frozen=True)
class Frame:
    """A frame that is predicted badly.

    Attributes:
        index: in the data set, counted from 0.
        Za: (N,) atomic numbers.
        Ra: (N, 3) positions.
        errors: field -> root mean square of its errors in this frame; of ``E`` predicted minus true energy.
        force_errors: (N,) length of the error of the force on each atom; None without forces.
    """

    index: int
    Za: Array
    Ra: Array
    errors: dict[str, float]
    force_errors: Array | None


@dataclass(frozen=True)
class Evaluation:
    """The errors of a potential on a part.

    Attributes:
        part: its name.
        frames: number of its frames.
        errors: over all frames, of the kinds and fields that were asked for.
        points: field -> true and predicted numbers.
        rows: errors over all frames, in total and by element.
        worst: the worst frames of all, the worst first.
        worst_by: the field by whose error they were chosen: ``Fa``, else ``E`` per atom, else the first one.
    """

    part: str
    frames: int
    errors: Errors
    points: dict[str, Points]
    rows: list[ErrorRow]
    worst: list[Frame]
    worst_by: str
