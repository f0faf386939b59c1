"""Which labels frames have, and how much they weigh in the loss."""

import math
from collections.abc import Iterable

import numpy as np
from torch import Tensor

from pyg_nnp.data.descriptors import Array
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.errors import DataError
from pyg_nnp.fields import FIELDS, TARGETS


def missing_labels(summary: DatasetSummary, name: str) -> Array:
    """Return (n,) how many numbers of a field each frame lacks."""
    return summary.missing[:, TARGETS.index(name)] if name in TARGETS else np.zeros_like(summary.sizes)


def expected_labels(summary: DatasetSummary, name: str) -> Array:
    """Return (n,) how many numbers of a field each frame has where none is missing."""
    rows = summary.sizes if FIELDS[name].level == "atom" else np.ones_like(summary.sizes)
    expected: Array = rows * math.prod(map(int, FIELDS[name].shape))
    return expected


def has_labels(summary: DatasetSummary, name: str) -> Array:
    """Return (n,) whether each frame has a number of a field at all."""
    found: Array = missing_labels(summary, name) < expected_labels(summary, name)
    return found


def has_all_labels(summary: DatasetSummary, name: str) -> Array:
    """Return (n,) whether each frame has all numbers of a field."""
    found: Array = missing_labels(summary, name) == 0
    return found


def number_of_labels(summary: DatasetSummary, name: str, frames: Tensor) -> int:
    """Return how many numbers of a field some frames, (g,), have."""
    return int((expected_labels(summary, name) - missing_labels(summary, name))[frames.numpy()].sum())


def mean_weights(summary: DatasetSummary, names: Iterable[str], frames: Tensor) -> dict[str, float]:
    """Return the mean weight of labels of some frames, (g,), as :func:`pyg_nnp.training.loss.weighted_loss` takes it.

    A number has the weight of its frame, or 0 where it is missing. Fields that have all their labels, each with weight
    1, are left out.

    Raises:
        DataError: all labels of a field are missing or in frames of weight 0.
    """
    chosen = frames.numpy()
    weight = summary.weight[chosen] if len(summary.weight) else np.ones(len(chosen))
    found, are_equal = {}, bool((weight == 1).all())
    for name in names:
        missing = missing_labels(summary, name)[chosen]
        if are_equal and not missing.any():
            continue
        expected = expected_labels(summary, name)[chosen]
        found[name] = float(weight @ (expected - missing)) / float(expected.sum())
        if found[name] == 0:
            why = "is missing in all frames of the training part, or these have weight 0"
            raise DataError(f"'{name}' ({FIELDS[name].short_meaning}) {why}. Take it out of the loss, or split anew.")
    return found
