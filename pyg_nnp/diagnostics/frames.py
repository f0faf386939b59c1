"""Frames that are there twice, and frames unlike all others."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from pyg_nnp.data import MoleculeDataset
from pyg_nnp.data.source import DataSource, frames_text
from pyg_nnp.diagnostics.statistics import SIGMA_OF_MAD, Array, clusters, energy_deviations, outliers
from pyg_nnp.diagnostics.survey import Survey, in_batches
from pyg_nnp.diagnostics.verdict import Verdict, counted
from pyg_nnp.functional.geometry import pair_distances

# sets of vibrating or very different molecules stay below 6 and 4.5, and have no gap
_ENERGY_LIMIT = 7.0  # robust standard deviations
_FORCE_LIMIT = 4.0  # robust standard deviations of the logarithm
_NET_FORCE_LIMIT = 0.2  # of the median of the largest forces


def judge_energies(source: DataSource, survey: Survey) -> Verdict:
    """Look for energies far from those of the same molecule, or of molecules with the same elements."""
    E, Q = survey.values["E"], survey.values["Q"]
    deviations = energy_deviations(E, survey.counts, Q, survey.molecules)
    found = outliers(deviations, _ENERGY_LIMIT)
    if not deviations.any():
        return Verdict("E", "outliers not judged: too few frames")
    rest = np.delete(deviations, found).max()
    if not len(found):
        return Verdict("E", f"no outliers: at most {rest:.2g} robust standard deviations off")
    text = (
        f"is {E[found[0]]:.8g} in frame {found[0]}, {deviations[found[0]]:.3g} robust standard deviations from what "
        f"the molecule or its elements make likely; without these frames the largest deviation is {rest:.2g}. "
        "Look at these frames, and take out what did not converge."
    )
    return Verdict("E", counted(len(found), "outlier"), (source.message("E", text, found),))


def judge_outlying_forces(source: DataSource, survey: Survey) -> Verdict:
    """Look for forces far larger than in all other frames, and for forces that move the molecule as a whole."""
    warnings, largest, net = [], survey.largest_force, survey.net_force
    some = largest > 0
    if some.sum() < 20:
        return Verdict("Fa", "outliers not judged: too few frames")
    middle = float(np.median(largest[some]))
    spread = SIGMA_OF_MAD * float(np.median(abs(np.log(largest[some] / middle))))
    found = outliers(largest, middle * np.exp(_FORCE_LIMIT * max(spread, 0.1)), factor=2.5)
    rest = np.delete(largest, found).max()
    if len(found):
        text = (
            f"has a force of {largest[found[0]]:.4g} in frame {found[0]}; the largest without these frames is "
            f"{rest:.4g}, the median over frames {middle:.4g}. Look at these frames, and take out what is broken."
        )
        warnings.append(source.message("Fa", text, found))
    moving = np.setdiff1d(outliers(net, _NET_FORCE_LIMIT * middle), found)
    if len(moving):
        rest_of_net = np.delete(net, np.concatenate((moving, found))).max()
        text = (
            f"does not add up to 0: the sum has a length of {net[moving].max():.4g}, without these frames at most "
            f"{rest_of_net:.4g}. The force on an atom must be wrong; look at these frames."
        )
        warnings.append(source.message("Fa", text, moving))
    summary = counted(len(found) + len(moving), "outlier") if warnings else f"no outliers: largest force {rest:.4g}"
    return Verdict("Fa", summary, tuple(warnings))


def judge_duplicates(
    source: DataSource, dataset: MoleculeDataset, survey: Survey, parts: Mapping[str, Tensor]
) -> Verdict:
    """Look for frames with the same molecule in the same shape, and whether they are in several parts."""
    groups = [group for group in _candidates(survey) if len(group) > 1]
    groups = _with_equal_distances(dataset, groups, 2 * survey.precision)
    if not groups:
        return Verdict("Ra", "no duplicates")
    part_of = np.full(len(dataset), "", dtype=object)
    for part, frames in parts.items():
        part_of[frames.numpy()] = part
    extra = sum(len(group) for group in groups) - len(groups)
    first = "; ".join(frames_text(group) for group in groups[:3])
    more = f"; and {len(groups) - 3} more groups" if len(groups) > 3 else ""
    warnings = [
        f"{source.file}: {counted(extra, 'copy', 'copies')} of other frames in {source.field('Ra')}, moved, turned or "
        f"mirrored perhaps: {first}{more}. Take out the copies."
    ]
    across = [group for group in groups if len({part_of[i] for i in group} - {""}) > 1]
    if across:
        pairs = "; ".join(", ".join(f"{part_of[i] or 'no part'} {i}" for i in group[:5]) for group in across[:3])
        warnings.append(
            f"{source.file}: {counted(len(across), 'frame')} with copies in several parts of the split: {pairs}. "
            "Errors on validation and test part are too good then. Take out the copies."
        )
    warnings += _contradictions(source, survey, groups)
    return Verdict("Ra", counted(extra, "duplicate"), tuple(warnings))


def _candidates(survey: Survey) -> list[Array]:
    points = np.column_stack((survey.shape, survey.values["Q"]))
    labels = clusters(points, 4 * survey.precision)
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _with_equal_distances(dataset: MoleculeDataset, groups: list[Array], tolerance: float) -> list[Array]:
    """Keep of each group the frames whose distances between like atoms are those of its first frame."""
    if not groups:
        return []
    first = np.concatenate([np.repeat(group[:1], len(group) - 1) for group in groups])
    other = np.concatenate([group[1:] for group in groups])
    equal = []
    for a, b in zip(_distances(dataset, first), _distances(dataset, other), strict=True):
        equal.append(a.shape == b.shape and bool((abs(a - b) <= [0, tolerance]).all()))
    kept = {int(group[0]): [int(group[0])] for group in groups}
    for i, j, same in zip(first.tolist(), other.tolist(), equal, strict=True):
        if same:
            kept[i].append(j)
    return [np.array(group) for group in kept.values() if len(group) > 1]


def _distances(dataset: MoleculeDataset, frames: Array) -> Iterator[Array]:
    """Yield for each frame its pairs, (P, 2): a key of their elements, and their distance, sorted by both."""
    for batch in in_batches(dataset, torch.from_numpy(frames)):
        i, j = batch.edge_index[:, batch.edge_index[0] < batch.edge_index[1]]
        distances = pair_distances(batch.Ra.double(), torch.stack((i, j))).numpy()
        Za = batch.Za.numpy()
        low, high = np.minimum(Za[i], Za[j]), np.maximum(Za[i], Za[j])
        frame = batch.batch[i].numpy()
        order = np.lexsort((distances, 119 * low + high, frame))
        rows = np.column_stack((119 * low + high, distances))[order]
        yield from np.split(rows, np.cumsum(np.bincount(frame, minlength=batch.num_graphs))[:-1])


def _contradictions(source: DataSource, survey: Survey, groups: list[Array]) -> list[str]:
    """Warn of frames of one shape with different energies or forces."""
    E, Fa = survey.values.get("E"), survey.largest_force
    measures = {"E": (E, 1e-6 * float(abs(E).max()))} if E is not None else {}
    measures |= {"Fa": (Fa, 0.01 * float(np.median(Fa)))} if len(Fa) else {}
    warnings = []
    for name, (values, tolerance) in measures.items():
        bad = [group for group in groups if np.ptp(values[group]) > tolerance]
        if bad:
            worst = max(bad, key=lambda group: float(np.ptp(values[group])))
            what = "is" if name == "E" else "has a largest force of"
            groups_of = f"{counted(len(bad), 'group')} of frames of one shape"
            text = (
                f"contradicts itself in {groups_of}: in {frames_text(worst)} it {what} "
                f"{values[worst].min():.10g} and {values[worst].max():.10g}. Keep the right ones only."
            )
            warnings.append(source.message(name, text))
    return warnings
