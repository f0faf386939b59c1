"""Stores of a few molecules."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pyg_nnp.data.store.writer import write_store

HASH = "0123456789abcdef"
Arrays = dict[str, np.ndarray]


def write(folder: Path, blocks: Iterable[Arrays], share: bool = True, **options: Any) -> Path:
    with write_store(
        folder, store_hash=HASH, sources={"Ra": "xyz"}, options={"some": 1}, share=share, **options
    ) as writer:
        for block in blocks:
            writer.append(block)
    return folder


def block(*molecules: list[int], Q: float = 0.0) -> Arrays:
    """Molecules of given atomic numbers, with positions and energies that differ in each row."""
    N = np.array([len(Za) for Za in molecules])
    return {
        "N": N,
        "Za": np.concatenate([np.array(Za) for Za in molecules]),
        "Q": np.full(len(N), Q),
        "Ra": np.arange(3.0 * N.sum()).reshape(-1, 3) + len(N),
        "E": np.arange(len(N)) / 3 - 1e6,
    }


WATER, HELIUM = [8, 1, 1], [2]
