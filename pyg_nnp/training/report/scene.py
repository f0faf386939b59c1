"""What the 3D views of a page are drawn from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from matplotlib import colormaps
from matplotlib.colors import to_hex

from pyg_nnp.functional.bonds import bonds
from pyg_nnp.training.report.types import Array, Frame

_SHADES = 32
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
    R = facing(frame.Ra * length_unit)
    errors = None
    if frame.force_errors is not None and largest is not None:
        errors = [float(f"{error:.4g}") for error in np.nan_to_num(frame.force_errors, nan=largest, posinf=largest)]
    return {"Z": frame.Za.tolist(), "R": R.round(3).tolist(), "bonds": bonds(R, frame.Za).tolist(), "errors": errors}


def facing(R: Array) -> Array:
    """Return positions about their mean, turned so that they are widest along x and then y."""
    centred = R - R.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred).eigenvectors[:, ::-1].copy()
    # no reflection
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    turned: Array = centred @ axes
    return turned
