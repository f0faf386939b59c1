"""Contents of a report: sample of the data, errors of the potential."""

import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from pyg_nnp.training.metrics import ErrorRow, MetricSums

Array = NDArray[Any]


@dataclass(frozen=True)
class Sample:
    """A random sample of a data set, for histograms."""

    frames: int  # number of frames that it is made of
    total: int  # number of frames of the data set
    values: dict[str, Array]  # field -> rows, (molecules or atoms, ...); of E less the reference energies
    distances: Array  # (n,) from each atom to another one of its frame, chosen at random


@dataclass(frozen=True)
class Points:
    """True and predicted numbers of a field that have a label, those of molecules and atoms one after the other."""

    true: Array  # (n,) true numbers; of E less the reference energies
    predicted: Array  # (n,) likewise
    total: int  # number of these numbers in the part; the points are all or a random sample of them
    spread: float = math.nan  # standard deviation of the true ones, those of atoms from their element's mean
    Za: Array | None = None  # (n,) atomic numbers, if each atom has one of these numbers


@dataclass(frozen=True)
class Frame:
    """A frame that is predicted badly."""

    index: int  # in the data set, counted from 0
    name: str  # this number, or of several files that within its own, and the file
    Za: Array  # (N,) atomic numbers
    Ra: Array  # (N, 3) positions
    # field that has labels in this frame -> root mean square of their errors; of E predicted minus true energy
    errors: dict[str, float]
    force_errors: Array | None  # (N,) length of the error of the force on each atom, 0 without label; None without any
    cell: Array | None = None  # (3, 3) lattice vectors, 0 along directions that are not periodic; None for a molecule


@dataclass(frozen=True)
class Evaluation:
    """The errors of a potential on a part."""

    part: str  # its name
    frames: int  # number of its frames
    sums: MetricSums  # errors over all frames, of the kinds and fields that were asked for
    points: dict[str, Points]  # field -> true and predicted numbers
    rows: list[ErrorRow]  # errors over all frames, in total and by element
    worst: list[Frame]  # the worst frames of all, the worst first
    worst_by: str  # the field by whose error they were chosen: Fa, else E per atom, else the first one
