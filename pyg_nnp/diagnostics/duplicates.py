"""Frames that are there twice, and whether they agree."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from pyg_nnp.data.source import DataSource
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import Array, CheckResult, Finding, counted, field_finding
from pyg_nnp.diagnostics.sample import in_batches
from pyg_nnp.functional.geometry import edge_distances, of_pairs

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset


MOST = 1_000_000
"""Frames that are compared with each other."""


def check_duplicates(source: DataSource, dataset: "MoleculeDataset", parts: Mapping[str, Tensor]) -> CheckResult:
    """Look for frames with the same molecule in the same shape, and whether they are in several parts.

    Of more than :data:`MOST` frames so many are compared, evenly spaced.
    """
    summary, total = dataset.summary, len(dataset)
    frames = np.linspace(0, total - 1, min(total, MOST)).astype(np.int64)
    labels = clusters(np.column_stack((summary.shape[frames], summary.Q[frames])), 4 * summary.precision)
    order = np.argsort(labels, kind="stable")
    order = order[np.bincount(labels)[labels[order]] > 1]
    candidates = np.split(frames[order], np.flatnonzero(np.diff(labels[order])) + 1) if len(order) else []
    groups = _with_equal_distances(dataset, candidates)
    among = f" among {len(frames)} of {total} frames" if len(frames) < total else ""
    if not groups:
        return CheckResult("Ra", f"no duplicates{among}")
    copies = np.sort(np.concatenate([group[1:] for group in groups]))
    first = "; ".join(source.frames(group) for group in groups[:3])
    more = f"; and {len(groups) - 3} more groups" if len(groups) > 3 else ""
    text = (
        f"{source.file}: {counted(len(copies), 'copy', 'copies')} of other frames in {source.field('Ra')}, moved, "
        f"turned or mirrored perhaps{among}: {first}{more}."
    )
    findings = [Finding("duplicates", "Ra", text, "Take out the copies.", tuple(copies.tolist()))]
    findings += _in_several_parts(source, parts, groups, len(dataset))
    findings += _contradictions(source, summary, groups)
    return CheckResult("Ra", counted(len(copies), "duplicate"), findings)


def _in_several_parts(
    source: DataSource, parts: Mapping[str, Tensor], groups: list[Array], num_frames: int
) -> list[Finding]:
    """Warn of frames with copies in other parts than their own."""
    part_of = np.full(num_frames, "", dtype=object)
    for part, frames in parts.items():
        part_of[frames.numpy()] = part
    across = [group for group in groups if len({part_of[i] for i in group} - {""}) > 1]
    if not across:
        return []
    named = ([f"{part_of[i] or 'no part'} {source.frame(i)}" for i in group[:5]] for group in across[:3])
    pairs = "; ".join(map(", ".join, named))
    text = f"{source.file}: {counted(len(across), 'frame')} with copies in several parts of the split: {pairs}."
    advice = "Errors on validation and test part are too good then. Take out the copies."
    return [Finding("duplicates in several parts", "Ra", text, advice, tuple(np.concatenate(across).tolist()))]


def _with_equal_distances(dataset: "MoleculeDataset", groups: list[Array]) -> list[Array]:
    """Keep of each group the frames whose distances between like atoms are those of its first frame."""
    if not groups:
        return []
    largest = [0, 2 * dataset.summary.precision]  # differences of elements and distances
    first = np.concatenate([np.repeat(group[:1], len(group) - 1) for group in groups])
    other = np.concatenate([group[1:] for group in groups])
    kept = {int(group[0]): [int(group[0])] for group in groups}
    distances = _distances(dataset, first), _distances(dataset, other)
    for i, j, a, b in zip(first.tolist(), other.tolist(), *distances, strict=True):
        if a.shape == b.shape and (abs(a - b) <= largest).all():
            kept[i].append(j)
    return [np.array(group) for group in kept.values() if len(group) > 1]


def _distances(dataset: "MoleculeDataset", frames: Array) -> Iterator[Array]:
    """Yield for each frame its pairs, (P, 2): a key of their elements, and their distance, sorted by both."""
    for batch in in_batches(dataset, torch.from_numpy(frames)):
        once = of_pairs(batch.edge_index, batch.Tij if "Tij" in batch else None)
        i, j = batch.edge_index[:, once].numpy()
        distances = edge_distances(batch)[once].numpy()
        Za, frame = batch.Za.numpy(), batch.batch[i].numpy()
        key = 119 * np.minimum(Za[i], Za[j]) + np.maximum(Za[i], Za[j])
        rows = np.column_stack((key, distances))[np.lexsort((distances, key, frame))]
        yield from np.split(rows, np.cumsum(np.bincount(frame, minlength=batch.num_graphs))[:-1])


def _contradictions(source: DataSource, summary: DatasetSummary, groups: list[Array]) -> list[Finding]:
    """Warn of frames of one shape with different energies or forces."""
    E, Fa = summary.E, summary.largest_force
    measures = {"E": (E, 1e-6 * float(np.nanmax(abs(E))))} if len(E) else {}
    measures |= {"Fa": (Fa, 0.01 * float(np.nanmedian(Fa)))} if len(Fa) else {}
    findings = []
    for name, (values, tolerance) in measures.items():
        labelled = [group[np.isfinite(values[group])] for group in groups]
        bad = [group for group in labelled if len(group) and np.ptp(values[group]) > tolerance]
        if bad:
            worst = max(bad, key=lambda group: float(np.ptp(values[group])))
            low, high = float(values[worst].min()), float(values[worst].max())
            what = "is" if name == "E" else "has a largest force of"
            text = (
                f"contradicts itself in {counted(len(bad), 'group')} of frames of one shape: in {source.frames(worst)} "
                f"it {what} {low:.10g} and {high:.10g}."
            )
            advice = "Keep the right ones only."
            findings.append(field_finding(source, "contradiction", name, text, advice, smallest=low, largest=high))
    return findings


def clusters(points: Array, tolerance: float) -> Array:
    """Return (n,) the number of the cluster of each of (n, d) points.

    Each point but a lone one is within ``tolerance`` of another of its cluster. Meant for clusters that are much
    smaller than that; larger ones may be cut.
    """
    # equal ones first, so that the tree has no heaps of them
    unique, group = np.unique(points, axis=0, return_inverse=True)
    group = group.reshape(-1)
    while len(unique) > 1:
        _, near = cKDTree(unique).query(unique, k=2, distance_upper_bound=tolerance)
        found = near < len(unique)
        links = coo_array((found[found], (np.nonzero(found)[0], near[found])), shape=(len(unique), len(unique)))
        number, labels = connected_components(links, directed=False)
        if number == len(unique):
            break
        # one point of each cluster, since nearest neighbors alone need not connect all of it
        group, unique = labels[group], unique[np.unique(labels, return_index=True)[1]]
    return group
