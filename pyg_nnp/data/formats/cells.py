# mypy: allow-untyped-calls
"""Periodic cells in data files: read where ``cell`` is among the features, else refused, in any format.

Formats of ASE say for each frame whether it is periodic. Arrays are looked for by their names: of directions (``pbc``),
and of cells. Where frames have cells that nothing is read from, and do not say whether they are periodic, the blocks
carry them, and :mod:`pyg_nnp.data.frame_checks` looks whether the frames are molecules in vacuum.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import numpy as np
from ase.cell import Cell
from numpy.typing import NDArray

from pyg_nnp.data.source import CONFLICT, Origin

Array = NDArray[Any]

_PERIODIC = "the cell is periodic, but a potential here knows molecules alone"
FIELDS_OF_CELLS = ("cell", "pbc")
_NAMES = {
    "pbc": re.compile(r"pbcs?|(is)?periodic"),
    "cell": re.compile(r"abc|(unit)?(cell|lattice|box)(e?s|vectors?|matrix|lengths?|sizes?|par|parameters?)?"),
}
_NOT = re.compile(r"(?:false|f|none|no|0|[\s,;\[\]()])*", re.IGNORECASE)  # text for: in no direction
_SHAPES = ((3, 3), (9,), (6,), (3,), ())
"""Of a cell: vectors as rows, the same in a row, lengths and angles [degree], lengths, the length of a cube."""
_ANGLES = (90, 120)  # of most cells, in degrees; no cube is as large
_FLAT = 0.05  # singular value of directions: vectors of no cell are as near to a plane, lengths of near cells are
_UNLIKE = "'{}' looks like a periodic cell, but {}, expected {}. If these are molecules, store 'pbc' as false."


def cell_names(
    names: Iterable[str], taken: Collection[str] = (), kinds: Collection[str] = FIELDS_OF_CELLS
) -> list[str]:
    """Return those of some names that cells and periodic directions have, if they are not ``taken`` for fields."""
    return [name for name in names if _kind(name) in kinds and name not in taken]


def _kind(name: str) -> str | None:
    plain = name.lower().replace("_", "")
    return next((kind for kind, of_kind in _NAMES.items() if of_kind.fullmatch(plain)), None)


class Cells:
    """What a file says of the cells of some frames.

    Args:
        origin: of the frames.
        columns: name in the file, one of :func:`cell_names` -> array (anything with ``shape`` and slicing) or list.
        num_frames: n, of the columns that have a row for each frame; others hold for all.
    """

    def __init__(self, origin: Origin, columns: Mapping[str, Any], num_frames: int) -> None:
        self._origin, self._num_frames = origin, num_frames
        self._columns = {name: _in_memory(columns[name]) for name in sorted(columns) if columns[name] is not None}

    def __bool__(self) -> bool:
        return bool(self._columns)

    def of_frames(self, start: int, stop: int) -> tuple[dict[str, Array], Array | None]:
        """Return what is read of some frames, and what else may be their cells.

        Returns:
            ``cell``, (stop - start, 3, 3), and ``pbc``, (stop - start, 3), if they are mapped. Where the file does not
            say which directions are periodic, they are those whose vector is not 0. And cells of other names,
            (stop - start, 3, 3), of frames of which nothing says whether they are periodic, 0 for others; None without
            any.

        Raises:
            DataError: what is mapped is no cell, or nothing is, and a frame is periodic or has what looks like a cell
                and cannot be read.
        """
        fields, is_unknown = self._mapped(start, stop) if self._name else ({}, self._not_periodic(start, stop))
        return fields, self._unstated(start, stop, is_unknown) if is_unknown.any() else None

    @property
    def _name(self) -> str | None:
        """The name of the cells that are read."""
        return self._origin.names.get("cell")

    def _mapped(self, start: int, stop: int) -> tuple[dict[str, Array], Array]:
        """Return the fields, and (k,) for which frames nothing is said."""
        names = self._origin.names
        cells = self._vectors(names["cell"], start, self._rows(names["cell"], start, stop))
        cells = np.nan_to_num(cells, nan=0, posinf=0, neginf=0)
        pbc: Array = np.any(cells != 0, axis=2)  # (k, 3)
        is_unknown: Array = np.logical_not(pbc.any(axis=1))
        for name in [names["pbc"]] if "pbc" in names else self._of_kind("pbc"):
            for row, said in enumerate(self._rows(name, start, stop)):
                directions = _directions(said)
                pbc[row] = pbc[row] if directions is None else directions
                is_unknown[row] &= directions is None
        if (without := pbc.any(axis=1) & ~cells.any(axis=(1, 2))).any():
            others = [f"map cell: {name}" for name in self._of_kind("cell") if name != names["cell"]]
            instead = " or ".join(["Give the lattice vectors", *others])
            what = f"the frame is periodic, but {self._origin.field('cell')} has no vectors. {instead}."
            raise self._origin.frame_error(start + int(np.argmax(without)), what)
        return {"cell": cells, "pbc": pbc.astype(np.int64)}, is_unknown

    def _not_periodic(self, start: int, stop: int) -> Array:
        """Refuse periodic frames, and return (k,) for which frames nothing is said."""
        is_unknown = np.ones(stop - start, dtype=bool)
        for name in self._of_kind("pbc"):
            rows = self._rows(name, start, stop)
            periodic = _periodic(rows)
            is_unknown &= np.isnan(periodic)
            if (periodic == 1).any():
                i = int(np.argmax(periodic == 1))
                instead = (
                    "To train on crystals, map 'cell' in Datahub.features, as by init --map cell=NAME; for a molecule "
                    f"in a box, unwrap it and store '{name}' as false"
                )
                raise self._origin.frame_error(start + i, f"{_PERIODIC} ('{name}' is {_shown(rows[i])}). {instead}.")
        return is_unknown

    def _unstated(self, start: int, stop: int, is_unknown: Array) -> Array | None:
        names = [name for name in self._of_kind("cell") if name != self._name]
        cells = np.zeros((stop - start, 3, 3))
        for name in names:
            found = self._vectors(name, start, self._rows(name, start, stop))
            is_first = is_unknown & ~cells.any(axis=(1, 2))
            cells[is_first] = np.nan_to_num(found[is_first], nan=0, posinf=0, neginf=0)
        return cells if names else None

    def _of_kind(self, kind: Literal["pbc", "cell"]) -> list[str]:
        return [name for name in self._columns if _kind(name) == kind]

    def _rows(self, name: str, start: int, stop: int) -> Any:
        """Return the value of each frame, of which there may be one for all."""
        column, n = self._columns.get(name, [None] * self._num_frames), self._num_frames
        if isinstance(column, list):
            rows = column[start:stop] if len(column) == n else [column] * (stop - start)
            if (twice := next((i for i, row in enumerate(rows) if row is CONFLICT), None)) is not None:
                what = f"'{name}' is there twice, with different values. Remove or rename one."
                raise self._origin.frame_error(start + twice, what)
            return rows
        shape = column.shape
        is_one = shape[:1] != (n,) or (shape in _SHAPES and self._is_one(name, column))
        if math.prod(shape if is_one else shape[1:]) > 9:
            raise self._origin.error(_UNLIKE.format(name, f"has shape {shape}", "(frames, 3, 3)"))
        if is_one:
            return np.broadcast_to(column[()], (stop - start, *shape))
        return np.asarray(column[start:stop])

    def _is_one(self, name: str, value: Array) -> bool:
        """Return whether an array with a row for each frame is one value for all, which its numbers may tell."""
        n, is_cell = self._num_frames, name == self._origin.names.get("cell") or _kind(name) == "cell"
        if (not is_cell and value.shape != (3,)) or (value == value.flat[0]).all():
            return False  # three numbers that are the same say it either way
        if is_cell and (is_one := _is_one_cell(value)) is not None:
            return is_one
        whole, own = ((n, 3, 3), "lattice vectors") if is_cell else ((n, 3), "three flags")
        what = f"'{name}' has shape {value.shape}, which may be one value for all of the {n} frames, or one for each"
        raise self._origin.error(f"{what}. Give the {own} of each, as an array of shape {whole}.")

    def _vectors(self, name: str, first: int, rows: Any) -> Array:
        """Return the vectors, (k, 3, 3), of cells in any form; 0 where there is none."""
        if isinstance(rows, np.ndarray) and rows.dtype.kind in "iuf" and rows[:1].size == 9:
            return rows.reshape(len(rows), 3, 3).astype(np.float64)
        cells = np.zeros((len(rows), 3, 3))
        for i, row in enumerate(rows):
            try:
                cells[i] = _vectors(row)
            except (AssertionError, TypeError, ValueError):  # ASE asserts that angles go together
                what = _UNLIKE.format(name, f"is {_shown(row)}", "(3, 3)")
                raise self._origin.frame_error(first + i, what) from None
        return cells


def _in_memory(column: Any) -> Any:
    """Return a column as an array where it may be one value for all frames, else as it is, to be read in pieces."""
    return np.asarray(column[()]) if not isinstance(column, list) and column.shape in _SHAPES else column


def _is_one_cell(value: Array) -> bool | None:
    """Return whether an array of 3 x 3, 9, 6 or 3 is one cell, not a row of lengths for each frame; None: who knows."""
    if value.dtype.kind not in "iuf":
        return False
    if value.size < 9:
        return True if value.size == 6 and np.isin(value[3:], _ANGLES).any() else None
    vectors = np.nan_to_num(value).reshape(3, 3).astype(np.float64)
    some = vectors[vectors.any(axis=1)]
    directions = some / np.linalg.norm(some, axis=1, keepdims=True)
    if (vectors >= 0).all() and not np.linalg.matrix_rank(directions, tol=_FLAT) == len(some) > 0:
        return False
    return True if (some <= 0).any() else None


def _vectors(value: Any) -> Array:
    # a word, such as fcc or conventional, names a kind of cell
    value = None if isinstance(value, str | bytes) and not re.search(r"\d", str(value)) else value
    flat = np.zeros(3) if value is None else np.nan_to_num(np.asarray(value, dtype=np.float64).reshape(-1))
    if flat.size == 9 or not flat.any():
        return flat.reshape(3, 3) if flat.size == 9 else np.zeros((3, 3))
    return np.asarray(Cell.new(np.broadcast_to(flat, max(3, flat.size))))


def _periodic(rows: Any) -> Array:
    """Return, (k,), 1 for frames that are periodic in some direction, 0 for molecules, NaN where nothing is said."""
    if isinstance(rows, np.ndarray) and rows.dtype.kind in "biuf":
        return np.asarray(rows.reshape(len(rows), -1).any(axis=1), dtype=np.float64)
    return np.array([_is_periodic(row) for row in rows], dtype=np.float64)


def _is_periodic(value: Any) -> bool | None:
    parts = np.asarray(value).reshape(-1).tolist()
    known = [part.decode(errors="replace") if isinstance(part, bytes) else part for part in parts if part is not None]
    if not known:
        return None
    return any(not _NOT.fullmatch(part) if isinstance(part, str) else bool(part) for part in known)


def _directions(value: Any) -> list[bool] | None:
    """Return whether each of three directions is periodic, of three values or one for all; None: nothing is said."""
    parts = np.asarray(value).reshape(-1).tolist()
    if len(parts) == 1 and isinstance(parts[0], str | bytes):
        text = parts[0].decode(errors="replace") if isinstance(parts[0], bytes) else parts[0]
        parts = re.findall(r"[^\s,;\[\]()]+", text)
    periodic = [bool(_is_periodic(part)) for part in parts]
    if not parts or all(_is_periodic(part) is None for part in parts):
        return None
    return periodic if len(periodic) == 3 else [any(periodic)] * 3


def _shown(value: Any) -> str:
    shown = " ".join(str(np.asarray(value).tolist()).split())
    return shown if len(shown) < 80 else f"of shape {np.asarray(value).shape}"
