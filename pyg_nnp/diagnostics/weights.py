"""Weights of a loss, from the spread of the labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyg_nnp.data.block import Block
from pyg_nnp.fields import FIELDS
from pyg_nnp.functional.composition import element_counts


def suggested_weights(block: Block, targets: Sequence[str]) -> dict[str, float]:
    """Return a weight for each target: that of its kind over the spread of its labels.

    Args:
        block: frames with these labels.
        targets: names of fields.
    """
    spreads = {name: float(np.sqrt(np.mean(np.square(block.arrays[name])))) for name in targets}
    if "E" in targets:
        spreads["E"] = float(np.std(block.arrays["E"] - _fitted(block)))
    if "Qa" in targets:
        Za, Qa = block.arrays["Za"], block.arrays["Qa"]
        spreads["Qa"] = float(np.sqrt(np.mean([np.var(Qa[Za == Z]) for Z in np.unique(Za)])))
    return {name: FIELDS[name].weight / spread if spread > 0 else 1.0 for name, spread in spreads.items()}


def _fitted(block: Block) -> NDArray[Any]:
    """Return the (G,) energies that energies of atoms give, fitted to the labels: compositions alone are no spread."""
    N, Za = (torch.from_numpy(block.arrays[name].astype(np.int64)) for name in ("N", "Za"))
    counts = element_counts(N, Za, torch.unique(Za)).double().numpy()
    energies = block.arrays["E"].astype(float)
    fitted: NDArray[Any] = counts @ np.linalg.lstsq(counts, energies, rcond=None)[0]
    return fitted
