"""Whether forces are the negative slope of the energy, with the sign and in the unit that go with it."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch_geometric.data import Data

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.source import DataSource
from pyg_nnp.diagnostics.force_units import HARTREE_IN, NEAR, Mismatch, energy_unit, mismatches
from pyg_nnp.diagnostics.statistics import Array, Slope, nearest_frames, slope_of, stiffness, work_between
from pyg_nnp.diagnostics.survey import Survey, in_batches
from pyg_nnp.diagnostics.verdict import Verdict
from pyg_nnp.functional.geometry import bonds_of_hydrogen

if TYPE_CHECKING:
    from pyg_nnp.config import Config

_FRAMES = 2000
"""Frames that are compared at most."""
_RUN = 10
"""Consecutive frames that are taken together, since those of a trajectory are near each other."""
_BONDS = 500
"""Frames whose bonds are looked at."""
_OFF, _ERRORS = 0.1, 5.0
"""How far from 1 the slope of forces is at least, and in its standard errors, to be called wrong."""
_SHIFTS = {"before": 1, "after": -1}
"""Frames whose energies are tried, too, and by how much energies are shifted for it."""
_UNRELATED = 10.0
"""How many times larger than the work differences of energies are at least that must be those of something else."""
_SMALLER = 4.0
"""How many times less of their work is left unexplained by energies that are taken for the right ones."""

# Harmonic force constants of bonds of H to C, N and O as they come out of forces at some hundred kelvin
_STIFFNESS = {6: 0.28, 7: 0.36, 8: 0.44}  # Hartree/Bohr²


def judge_forces(config: "Config", source: DataSource, dataset: MoleculeDataset, survey: Survey) -> Verdict:
    """Compare forces with energies of near frames, and with the usual stretching of bonds of hydrogen."""
    hartree, bohr = config.units.hartree, config.units.bohr
    is_set = config.Datahub.transforms.negative_gradient
    some = torch.linspace(0, len(dataset) - 1, min(_BONDS, len(dataset))).long()
    bond, factor = stiffness_of_bonds(in_batches(dataset, some), hartree, bohr)
    doubts: tuple[str, ...] = ()
    if "E" in dataset.fields:
        near, *others = _from_near_frames(dataset, survey)
        tried = (_shifted(source, place, other, near) for place, other in zip(_SHIFTS, others, strict=True))
        doubts = tuple(filter(None, tried))
        if _is_clear(near) and not doubts:
            names = mismatches(abs(near.slope), near.error, hartree, bohr)
            how = f"between near frames -F·ΔR is {near.slope:.3g} ΔE ({near.number} pairs"
            how = f"{how}, correlation {abs(near.correlation):.2g})"
            unit = None if names or hartree is None or factor is None else energy_unit(factor, hartree)
            more = _of_unit(source, unit, factor, hartree) or (() if names else _unexplained(source, near, how))
            return _verdict(source, near.slope < 0, names, how, is_set, more)
    if bond is None:
        return Verdict("Fa", "sign and unit not judged: no near frames, no vibrating bonds of hydrogen", doubts)
    names = ()
    how = f"the force constant of bonds of hydrogen is {bond.slope:.3g} ({bond.number} bonds"
    how = f"{how}, correlation {abs(bond.correlation):.2g})"
    if factor is not None:
        # bonds differ too much in stiffness to doubt the configuration where it can be right
        names = mismatches(factor, 0.0, hartree, bohr, doubt=NEAR)[:1]
        how = f"{how}, {factor:.3g} times the usual"
    if "E" in dataset.fields and near.number >= 10:
        how = f"{how}; near frames do not tell whether energies go with them (correlation {near.correlation:.2g})"
        # bonds vibrate, so it is not that forces vanish
        if abs(near.slope) < abs(near.correlation) / _UNRELATED:
            doubts += (_unrelated(source, near),)
    return _verdict(source, bond.slope < 0, names, how, is_set, doubts)


def stiffness_of_bonds(
    batches: Iterable[Data], hartree: float | None, bohr: float | None
) -> tuple[Slope | None, float | None]:
    """Return the force constant of bonds of hydrogen, and how many times the usual it is in some units.

    Args:
        batches: with ``Ra``, ``Za``, ``Fa`` and ``edge_index``.
        hartree: one Hartree in the unit of energies, if it is known.
        bohr: one Bohr in the unit of positions, if it is known.
    """
    element, bond = _from_bonds(batches)
    if element not in _STIFFNESS or bond.number < 30 or abs(bond.correlation) < 0.8:
        return None, None
    if hartree is None or bohr is None:
        return bond, None
    return bond, abs(bond.slope) * bohr**2 / hartree / _STIFFNESS[element]


def _of_unit(source: DataSource, unit: str | None, factor: float | None, hartree: float | None) -> tuple[str, ...]:
    """Warn of a unit of energies and forces that go together, but not with ``Hartree_in_E``."""
    if unit is None:
        return ()
    found = (
        f"looks like {unit}, as the energies do, and not what build_params.Hartree_in_E: {hartree:g} says: with that"
    )
    advice = f"bonds of hydrogen are {factor:.3g} times as stiff as usual. Set it to {HARTREE_IN[unit]:.6g}."
    return (source.message("Fa", f"{found} {advice}"),)


def _unexplained(source: DataSource, near: Slope, how: str) -> tuple[str, ...]:
    """Warn of forces that are off by a factor which no unit explains."""
    off = abs(abs(near.slope) - 1)
    if off < max(_OFF, _ERRORS * near.error):
        return ()
    found = f"is {abs(near.slope):.3g} ± {near.error:.1g} times the slope of E, which no unit explains: {how}."
    advice = "Look whether both are of one calculation, and whether a term, as of dispersion, is in one of them alone."
    return (source.message("Fa", f"{found} {advice}"),)


def _is_clear(near: Slope) -> bool:
    return near.number >= 10 and abs(near.correlation) > 0.8 and near.error < 0.15 * abs(near.slope)


def _shifted(source: DataSource, place: str, other: Slope, own: Slope) -> str:
    """Warn of forces that go with the energies of other frames; an empty text if they do not."""
    # what is left unexplained of near frames of a smooth trajectory is small for the frame before, too
    if not _is_clear(other) or _SMALLER * (1 - other.correlation**2) > 1 - own.correlation**2:
        return ""
    found = f"goes with the E of the frame {place} each, not with its own: correlations between near frames are"
    advice = "Were energies and forces collected from different steps?"
    return source.message("Fa", f"{found} {other.correlation:.2g} and {own.correlation:.2g}. {advice}")


def _unrelated(source: DataSource, near: Slope) -> str:
    """Warn of energies that differ by far more than the work of the forces."""
    times = abs(near.correlation / near.slope)
    found = f"differs between near frames by {times:.3g} times the work of the forces, and does not follow it"
    return source.message("E", f"{found} (correlation {near.correlation:.2g}). Is it the energy of these frames?")


def _verdict(
    source: DataSource,
    opposite: bool,
    names: tuple[Mismatch, ...],
    how: str,
    is_set: bool,
    more: tuple[str, ...] = (),
) -> Verdict:
    warnings = [*more]
    if opposite:
        found, advice = (
            ("forces, which negative_gradient turns into gradients", "Leave Datahub.transforms.negative_gradient out.")
            if is_set
            else ("gradients, not forces", "Set Datahub.transforms.negative_gradient: true.")
        )
        warnings.append(source.message("Fa", f"looks like {found}: {how}. {advice}"))
    if names:
        meaning = "; or ".join(f"{name.meaning} (factor {name.factor:.4g})" for name in names)
        change = "multiply the energies" if names[0].of_energies else "divide the forces"
        advice = f"Give all in units that go together: {change} by {names[0].factor:.6g}."
        warnings.append(source.message("Fa", f"looks like forces {meaning}: {how}. {advice}"))
    return Verdict("Fa", how if warnings else f"fine: {how}", tuple(warnings))


def _from_near_frames(dataset: MoleculeDataset, survey: Survey) -> list[Slope]:
    """Fit the work between near frames against differences of their energies, and of :data:`_SHIFTS`'s."""
    work, apart, i, j = (np.concatenate(parts) for parts in zip(*_near_pairs(dataset, survey), strict=True))
    distinct = np.flatnonzero(apart > 10 * survey.precision)
    # the error of the work grows with the third power of the distance
    nearest = distinct[np.argsort(apart[distinct])[: max(30, len(distinct) // 10)]]
    energies = (np.roll(survey.values["E"], shift) for shift in (0, *_SHIFTS.values()))
    return [slope_of(E[j[nearest]] - E[i[nearest]], work[nearest]) for E in energies]


def _near_pairs(dataset: MoleculeDataset, survey: Survey) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Yield work, displacement and numbers of each frame and the nearest, molecule by molecule."""
    yield np.zeros(0), np.zeros(0), np.zeros(0, int), np.zeros(0, int)
    for frames in _groups(survey):
        batches = list(in_batches(dataset, torch.from_numpy(frames)))
        shape = (len(frames), -1, 3)
        Ra, Fa = (torch.cat([b[name] for b in batches]).double().numpy().reshape(shape) for name in ("Ra", "Fa"))
        i, j = np.arange(len(frames)), nearest_frames(Ra)
        # of two frames that are nearest to each other once
        once = (j[j] != i) | (i < j)
        i, j = i[once], j[once]
        yield *work_between(Ra, Fa, i, j), frames[i], frames[j]


def _groups(survey: Survey) -> Iterator[Array]:
    """Yield some frames of each molecule that has several, in runs of consecutive ones, evenly spread."""
    molecules = survey.molecules
    sizes = np.bincount(molecules)
    order = np.argsort(molecules, kind="stable")
    chosen = np.argsort(-sizes, kind="stable")[: _FRAMES // _RUN]
    first = np.cumsum(sizes) - sizes
    each = max(_RUN, _FRAMES // max(1, len(chosen)))
    for number in chosen:
        frames = order[first[number] : first[number] + sizes[number]]
        atoms = survey.sizes[frames[0]]
        if len(frames) < 2 or atoms < 2:
            continue
        if len(frames) > each:
            starts = np.linspace(0, len(frames) - _RUN, each // _RUN).astype(int)
            frames = frames[np.unique(starts[:, None] + np.arange(_RUN))]
        yield frames


def _from_bonds(batches: Iterable[Data]) -> tuple[int, Slope]:
    """Fit the force constant of bonds of hydrogen to the most common of C, N and O."""
    rows = []
    for batch in batches:
        edges, lengths = bonds_of_hydrogen(batch.Ra.double(), batch.Za, batch.edge_index)
        outwards = (batch.Ra[edges[1]] - batch.Ra[edges[0]]).double() / lengths[:, None]
        forces = (batch.Fa[edges[1]].double() * outwards).sum(dim=1)
        rows.append(torch.stack((batch.Za[edges[0]].double(), lengths, forces), dim=1).numpy())
    # a frame that is there many times says no more than once
    found = np.unique(np.concatenate(rows), axis=0)
    if not len(found):
        return 0, slope_of(found[:, 0], found[:, 0])
    element = int(np.bincount(found[:, 0].astype(int)).argmax())
    of_element = found[found[:, 0] == element]
    return element, stiffness(of_element[:, 1], of_element[:, 2])
