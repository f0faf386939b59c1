"""What the 3D views of a page are drawn from."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from ase.geometry import complete_cell
from matplotlib import colormaps
from matplotlib.colors import to_hex

from pyg_nnp.functional.bonds import bonds
from pyg_nnp.training.report.types import Array, Frame

_SHADES = 32
# in units of the lattice vectors; those that are joined differ in one number
_CORNERS = np.array(list(product((0, 1), repeat=3)), dtype=float)
# as light as it is small; the lightness alone tells errors apart
_SCALE = "YlOrRd"


def scene(frames: Sequence[Frame], length_unit: float, unit: str) -> dict[str, Any]:
    """Return a JSON-like dict of some frames; ``length_unit`` is of their positions [Å], ``unit`` that of forces."""
    elements = sorted({int(Z) for frame in frames for Z in frame.Za})
    errors = [float(frame.force_errors.max()) for frame in frames if frame.force_errors is not None]
    # errors that are not finite cannot be in JSON, and are drawn as the largest
    largest = max(filter(np.isfinite, errors), default=0.0) if errors else None
    return {
        "unit": unit,
        "largest": largest,
        "scale": [to_hex(colour) for colour in colormaps[_SCALE](np.linspace(0.05, 1, _SHADES))],
        "elements": {
            Z: {
                "symbol": chemical_symbols[Z],
                "colour": to_hex(jmol_colors[Z]),
                "radius": round(float(covalent_radii[Z]), 3),
            }
            for Z in elements
        },
        "frames": [_of_frame(frame, length_unit, largest) for frame in frames],
    }


def _of_frame(frame: Frame, length_unit: float, largest: float | None) -> dict[str, Any]:
    corners, R = np.zeros((0, 3)), frame.Ra
    if frame.cell is not None:
        corners, R = _CORNERS @ frame.cell, _inside(R, frame.cell)
    turned = facing(np.concatenate((R, corners)) * length_unit)
    R, corners = turned[: len(R)], turned[len(R) :]
    errors = None
    if frame.force_errors is not None and largest is not None:
        errors = [float(f"{error:.4g}") for error in np.nan_to_num(frame.force_errors, nan=largest, posinf=largest)]
    drawn = {"R": R, "corners": corners}
    rounded = {name: rows.round(3).tolist() for name, rows in drawn.items()}
    return {"Z": frame.Za.tolist(), **rounded, "bonds": bonds(R, frame.Za).tolist(), "errors": errors}


def _inside(R: Array, cell: Array) -> Array:
    """Return (N, 3) positions moved by lattice vectors into the cell, (3, 3), which are 0 where it is not periodic."""
    is_periodic = cell.any(axis=1)
    full = complete_cell(cell)  # type: ignore[no-untyped-call]
    places = np.linalg.solve(full.T, R.T).T  # (N, 3)
    moved: Array = R - (np.floor(places) * is_periodic) @ full
    return moved


def facing(R: Array) -> Array:
    """Return positions about their mean, turned so that they are widest along x and then y."""
    centred = R - R.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred).eigenvectors[:, ::-1].copy()
    # no reflection
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    turned: Array = centred @ axes
    return turned
