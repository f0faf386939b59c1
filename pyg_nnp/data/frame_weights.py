"""The weights of frames in the loss: their own, and those of their groups."""

import logging
from collections import Counter
from collections.abc import Mapping

import numpy as np

from pyg_nnp.data.source import Block, DataSource
from pyg_nnp.errors import DataError, did_you_mean

log = logging.getLogger(__name__)


class FrameWeights:
    """Multiplies the weights of frames and groups, and counts them.

    Args:
        source: where frames come from; what it does not name has weight 1.
        group_weights: group -> its weight; 1 for all others, and for frames without a group.
    """

    def __init__(self, source: DataSource, group_weights: Mapping[str, float]) -> None:
        self._source, self._group_weights = source, group_weights
        self._groups: Counter[str] = Counter()
        self._without, self._frames = 0, 0

    def __call__(self, block: Block) -> None:
        """Put the weights of a block in the place of what the file has, if it has either."""
        weight, group = block.arrays.get("weight"), block.arrays.pop("group", None)
        self._frames += block.num_frames
        if weight is not None:
            self._without += int(np.isnan(weight).sum())
            block.arrays["weight"] = np.nan_to_num(weight, nan=1.0, posinf=np.inf, neginf=-np.inf)
        if group is not None:
            names = group.tolist()
            self._groups.update(names)
            of_groups = np.array([self._group_weights.get(name, 1.0) for name in names])
            block.arrays["weight"] = block.arrays.get("weight", 1.0) * of_groups

    def report(self) -> None:
        """Log how many frames have which weight, when all were read.

        Raises:
            DataError: no frame has a weight, or is of a group that has one.
        """
        source = self._source
        if self._without == self._frames:
            raise DataError(source.message("weight", "is missing in all frames. Correct the name, or leave it out."))
        if self._without:
            log.info("%s", source.message("weight", f"is missing in {self._without} frames: their weight is 1."))
        for name in self._group_weights:
            if name not in self._groups:
                known = ", ".join(f"'{group}'" for group in self._groups if group) or "none"
                found = f"is '{name}' in no frame, which has a weight in Datahub.group_weights."
                near = did_you_mean(name, self._groups)
                raise DataError(source.message("group", f"{found}{near} Groups: {known}."))
        if self._groups:
            counts = ", ".join(
                f"{repr(name) if name else 'none'} in {count} frames (weight {self._group_weights.get(name, 1.0):g})"
                for name, count in sorted(self._groups.items())
            )
            log.info("%s", source.message("group", f"is {counts}."))
