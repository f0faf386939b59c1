"""Checks of frames before they are stored: numbers of atoms, shapes, finite numbers, elements, distances, cells, Q."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pyg_nnp.data.formats.cells import cell_names
from pyg_nnp.data.images import closest_image
from pyg_nnp.data.source import ArrayTypes, Block, DataSource
from pyg_nnp.data.total_charge import charge_arrays
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS, MAY_BE_MISSING
from pyg_nnp.functional.periodic_search import periodic_pairs
from pyg_nnp.units import BOHR_IN_ANGSTROM

MAX_Z = 118
MIN_DISTANCE_IN_ANGSTROM = 0.2
MIN_IMAGE_DISTANCE_IN_ANGSTROM = 5.0
"""What atoms of a molecule in vacuum keep from images in a cell: beyond the reach of most potentials."""

Array = NDArray[Any]

_ATOMS_AT_ONCE = 4096


@dataclass(frozen=True)
class Checks:
    """Checks of frames.

    Attributes:
        source: where they come from.
        bohr_in_r: one Bohr in the data's unit of length; None takes positions to be in Å.
        may_miss: targets of which numbers may be missing, which are NaN then.
    """

    source: DataSource
    bohr_in_r: float | None = None
    may_miss: Collection[str] = ()

    def __call__(self, block: Block) -> None:
        """Check one block; the first frame at fault raises a DataError."""
        sizes: Array = block.arrays["N"]
        self._refuse(block, "N", sizes < 1, "a molecule has at least one atom")
        self._check_shapes(block)
        for name, rows in block.arrays.items():
            wrong = np.isinf(rows) if name in self.may_miss else ~np.isfinite(rows)
            is_missing = name in MAY_BE_MISSING and not np.isinf(rows).any()
            needed = f"a number is needed{f', or {name} in Datahub.allow_missing' if is_missing else ''}"
            self._refuse(block, name, wrong.any(axis=tuple(range(1, rows.ndim))), needed)
        if "weight" in block.arrays:
            self._refuse(block, "weight", block.arrays["weight"] < 0, "a weight is at least 0")
        Za: Array = block.arrays["Za"]
        self._refuse(block, "Za", (Za < 1) | (Za > MAX_Z), f"elements go from 1 (H) to {MAX_Z} (Og)")
        self._check_distances(block)
        if "cell" in block.arrays:
            self._check_cells(block)
        if block.cells is not None:
            self._check_images(block, block.cells)

    @property
    def _angstrom(self) -> float:
        """One Å in the data's unit of length."""
        return 1.0 if self.bohr_in_r is None else self.bohr_in_r / BOHR_IN_ANGSTROM

    def _error(self, block: Block, frame: int, name: str, found: str) -> DataError:
        return DataError(self.source.message(name, f"{found}.", [block.first + frame]))

    def _refuse(self, block: Block, name: str, bad: Array, reason: str) -> None:
        """Raise the error for the first bad row, if there is one."""
        if not bad.any():
            return
        row = int(np.argmax(bad))
        found = f"is {block.arrays[name][row].tolist()}; {reason}"
        if FIELDS[name].level == "graph":
            raise self._error(block, row, name, found)
        ends = np.cumsum(block.arrays["N"])
        frame = int(np.searchsorted(ends, row, side="right"))
        raise self._error(block, frame, name, f"of atom {row - ends[frame] + block.arrays['N'][frame]} {found}")

    def _check_shapes(self, block: Block) -> None:
        rows_of = {"graph": block.num_frames, "atom": int(block.arrays["N"].sum())}
        for name, rows in block.arrays.items():
            expected = (rows_of[FIELDS[name].level], *FIELDS[name].shape)
            if rows.shape != expected:
                makes = f"{block.num_frames} frames of {rows_of['atom']} atoms make it {expected}"
                what = f"has shape {rows.shape}, but {makes}."
                frames = range(block.first, block.first + block.num_frames)
                raise DataError(self.source.message(name, what, frames))

    def _check_cells(self, block: Block) -> None:
        """Refuse cells without volume, and atoms that coincide with images."""
        limit, ends = MIN_DISTANCE_IN_ANGSTROM * self._angstrom, np.cumsum(block.arrays["N"])
        for frame, pbc in enumerate(block.arrays["pbc"]):
            if not pbc.any():
                continue
            Ra = block.arrays["Ra"][ends[frame] - block.arrays["N"][frame] : ends[frame]]
            try:
                (j, i), _ = periodic_pairs(Ra, block.arrays["cell"][frame], pbc, limit)
            except DataError as error:
                raise DataError(self.source.message("cell", f"is none: {error}", [block.first + frame])) from error
            if len(i):
                found = f"puts atom {i[0]} and an image of atom {j[0]} nearer than {MIN_DISTANCE_IN_ANGSTROM} Å"
                raise self._error(block, frame, "cell", f"{found}: a broken frame, or another unit of length")

    def _check_images(self, block: Block, cells: Array) -> None:
        """Refuse frames in whose cells an atom has an image of an atom nearby: no molecules in vacuum."""
        limit = MIN_IMAGE_DISTANCE_IN_ANGSTROM * self._angstrom
        if found := closest_image(limit, np.asarray(block.arrays["Ra"]), block.arrays["N"], cells):
            frame, i, j, distance = found
            what = f"atom {i} has an image of atom {j} at a distance of {distance:.3g}, so this is periodic"
            but, instead = (
                "a potential here knows molecules alone",
                "To train on crystals, map 'cell' in Datahub.features, as by init --map cell=NAME",
            )
            if "cell" in block.arrays:
                names = cell_names(block.columns, self.source.names.values(), ["cell"])
                others = " or ".join(f"'{name}'" for name in names) or "another array"
                but = f"cells are read from '{self.source.names['cell']}', not from {others}"
                instead = "Give them the same name in all frames, in extended XYZ Lattice"
            raise DataError(
                f"{self.source.file}: {self.source.frames([block.first + frame])}: in its cell {what}, but {but}. "
                f"{instead}. For molecules in vacuum store 'pbc' as false, or no cell; for one in pieces, make it "
                "whole."
            )

    def _check_distances(self, block: Block) -> None:
        Ra: Array = np.asarray(block.arrays["Ra"], dtype=np.float64)
        sizes: Array = block.arrays["N"]
        limit = MIN_DISTANCE_IN_ANGSTROM * self._angstrom
        if not any_closer_than(limit, Ra, np.repeat(np.arange(len(sizes)), sizes)):
            return
        unit = f"{limit:.4g} with Bohr_in_R: {self.bohr_in_r:g}" if self.bohr_in_r else "taking positions to be in Å"
        for frame, positions in enumerate(np.split(Ra, np.cumsum(sizes)[:-1])):
            i, j, distance = _closest_pair(positions)
            if distance < limit:
                found = f"puts atoms {i} and {j} at a distance of {distance:.3g}, below {MIN_DISTANCE_IN_ANGSTROM} Å"
                raise self._error(block, frame, "Ra", f"{found} ({unit}): a broken frame, or another unit of length")


def any_closer_than(limit: float, Ra: Array, frames: Array) -> bool:
    """Return whether two atoms of one frame are closer than ``limit``: finite positions (A, 3), frame of each (A,)."""
    # one tree for all frames, which a fourth coordinate keeps apart by more than the limit
    points = np.column_stack((Ra, 2 * limit * frames))
    tree = cKDTree(points)
    # piece by piece: where many atoms coincide, each is compared with all of them, and the first piece settles it
    for first in range(0, len(points), _ATOMS_AT_ONCE):
        distances, _ = tree.query(points[first : first + _ATOMS_AT_ONCE], k=2, distance_upper_bound=limit)
        if np.isfinite(distances[:, 1]).any():
            return True
    return False


def refuse_unmapped_charge(source: DataSource, columns: ArrayTypes) -> None:
    """Refuse to take Q to be 0 where the file has what looks like a total charge.

    Args:
        source: the file, and the names of the fields in it, without Q.
        columns: what the file, or a part of it, has.

    Raises:
        DataError: an array that no field is read from holds total charges by name and shape.
    """
    for name in charge_arrays(columns, source.names["Ra"]):
        if name not in source.names.values():
            raise DataError(
                f"{source.file}: '{name}' looks like the total charge, but Datahub.features has no Q. "
                f"Add 'Q: {name}' there."
            )


def _closest_pair(Ra: Array) -> tuple[int, int, float]:
    """Return the two closest atoms of one molecule, (N, 3), and their distance; infinity for a lone atom."""
    nearest = cKDTree(Ra).query(Ra, k=2)[0][:, 1]
    i = int(nearest.argmin())
    with np.errstate(over="ignore"):
        later = np.linalg.norm(Ra[i + 1 :] - Ra[i], axis=1)
    return i, i + 1 + int(later.argmin()) if len(later) else i, float(nearest[i])
