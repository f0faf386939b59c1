"""Slopes of the work of the forces against energies, between near frames of a data set."""

from collections.abc import Iterator
from dataclasses import replace
from math import hypot, inf
from typing import TYPE_CHECKING

import numpy as np
import torch

from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import Array
from pyg_nnp.diagnostics.force_units import Slope, slope_of
from pyg_nnp.diagnostics.near_frames import is_clear, near_pairs, nearest_pairs, work_in_cells
from pyg_nnp.diagnostics.sample import frames_with, in_batches

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

SHIFTS = {"before": 1, "after": -1}
"""Frames whose energies are tried, too, and by how much energies are shifted for it."""
_FRAMES = 2000
"""Frames that are compared at most."""
_RUN = 10
"""Consecutive frames that are taken together, since those of a trajectory are near each other."""
# least correlation of shapes in cells: energies also differ by the strain, so that the slope falls as its square
_IN_CELLS = 0.9
_ANHARMONIC = 1 / 25
"""Doubt of the slope in cells, by how much the forces of one end do more work than those of the other."""


def slopes_between_near_frames(dataset: "MoleculeDataset") -> list[Slope]:
    """Fit the work between near frames against differences of E, of E times the number of atoms, and of other E's.

    The last are those of the frames that :data:`SHIFTS` names. Crystals are compared by places in their cells where
    that tells something, and else by shapes, as molecules.
    """
    E = dataset.summary.E
    energies = np.stack((E, E * dataset.summary.sizes, *(np.roll(E, shift) for shift in SHIFTS.values())))
    of_cells = _by_places(dataset, energies) if "cell" in dataset.fields else []
    if any(map(is_clear, of_cells)):
        return of_cells
    work, apart, i, j = (np.concatenate(parts) for parts in zip(*_near_pairs(dataset), strict=True))
    nearest = nearest_pairs(apart, 10 * dataset.summary.precision)
    i, j = i[nearest], j[nearest]
    slopes = [slope_of(of_one[j] - of_one[i], work[nearest]) for of_one in energies]
    if "cell" in dataset.fields:
        slopes = [slope if is_clear(slope, _IN_CELLS) else replace(slope, error=inf) for slope in slopes]
    return slopes


def _by_places(dataset: "MoleculeDataset", energies: Array) -> list[Slope]:
    """Fit the work between near frames of crystals against differences of (K, n) energies without the strain."""
    found = [(np.zeros(0), np.zeros(0), energies[:, :0])]
    for frames, fields in _molecules(dataset, "Ra", "Fa", "cell", "pbc"):
        pbc = fields["pbc"].astype(bool).reshape(-1, 3)
        alike = (pbc == pbc[0]).all(axis=1)
        if pbc[0].any() and alike.sum() > 1:
            Ra, Fa, cell = (fields[name].reshape(len(frames), -1, 3)[alike] for name in ("Ra", "Fa", "cell"))
            E, least = energies[:, frames[alike]], 10 * dataset.summary.precision
            found += filter(None, [work_in_cells(Ra, Fa, cell, pbc[0], E, least)])
    work, bend, differences = (np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True))
    # anharmonic forces may be off by a fraction of what they change by
    doubt = _ANHARMONIC * float(np.linalg.norm(bend)) / max(float(np.linalg.norm(work)), 1e-300)
    return [_of_both(slope_of(of_one, work), doubt) for of_one in differences]


def _of_both(fit: Slope, doubt: float) -> Slope:
    """Return a slope where not only y is inexact: the mean of those of y by x and of x by y, and how far these are off.

    It is the geometric mean, s / r with the correlation r. ``doubt`` is a relative error besides.
    """
    if not fit.correlation:
        return fit
    r = abs(fit.correlation)
    return replace(fit, slope=fit.slope / r, error=fit.error / r, doubt=hypot(doubt, (1 / r - 1) / 3))


def _near_pairs(dataset: "MoleculeDataset") -> Iterator[tuple[Array, Array, Array, Array]]:
    """Yield work, displacement and numbers of each frame and the nearest, molecule by molecule."""
    yield np.zeros(0), np.zeros(0), np.zeros(0, int), np.zeros(0, int)
    for frames, fields in _molecules(dataset, "Ra", "Fa"):
        Ra, Fa = (fields[name].reshape(len(frames), -1, 3) for name in ("Ra", "Fa"))
        work, apart, i, j = near_pairs(Ra, Fa)
        yield work, apart, frames[i], frames[j]


def _molecules(dataset: "MoleculeDataset", *names: str) -> Iterator[tuple[Array, dict[str, Array]]]:
    """Yield some frames of each molecule, and fields of them all."""
    for frames in _groups(dataset.summary, frames_with(dataset.summary, ["E", "Fa"]).numpy()):
        batches = list(in_batches(dataset, torch.from_numpy(frames)))
        yield frames, {name: torch.cat([batch[name] for batch in batches]).double().numpy() for name in names}


def _groups(summary: DatasetSummary, labelled: Array) -> Iterator[Array]:
    """Yield some of the ``labelled`` frames, (g,), of each molecule that has several, in runs, evenly spread."""
    molecules = summary.molecules[labelled]
    sizes = np.bincount(molecules)
    order = np.argsort(molecules, kind="stable")
    chosen = np.argsort(-sizes, kind="stable")[: _FRAMES // _RUN]
    first = np.cumsum(sizes) - sizes
    each = max(_RUN, _FRAMES // max(1, len(chosen)))
    for number in chosen:
        frames = labelled[order[first[number] : first[number] + sizes[number]]]
        if len(frames) < 2 or summary.sizes[frames[0]] < 2:
            continue
        if len(frames) > each:
            starts = np.linspace(0, len(frames) - _RUN, each // _RUN).astype(int)
            frames = frames[np.unique(starts[:, None] + np.arange(_RUN))]
        yield frames
