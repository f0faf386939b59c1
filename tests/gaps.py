"""Toy data of which labels are taken out at random."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from toy import toy_config, write_config, write_toy

NAMES = {"E": "energy", "Fa": "forces", "Qa": "atomic_charges", "M2": "dipole"}
Frame = dict[str, Any]


def write_with_gaps(folder: Path, share: float = 0.3, seed: int = 0, **options: Any) -> list[Frame]:
    """Write data without a share of each label, at random, and of some charges of single atoms; return the frames."""
    rng = np.random.default_rng(seed)
    frames = write_toy(folder, **options)
    for frame in frames:
        for source in NAMES.values():
            if rng.random() < share:
                frame.pop(source) if rng.random() < 0.5 else frame.update({source: None})
        if frame.get("atomic_charges") is not None and rng.random() < share:
            frame["atomic_charges"][0] = np.nan
    (folder / "dataset.pkl").write_bytes(pickle.dumps(frames))
    return frames


def config_with_gaps(**changes: Any) -> dict[str, Any]:
    return toy_config(Datahub__allow_missing=list(NAMES), **changes)


def write_config_with_gaps(folder: Path, **changes: Any) -> Path:
    return write_config(folder, yaml.safe_dump(config_with_gaps(**changes)))


def labels(frames: list[Frame], name: str, chosen: list[int] | None = None) -> int:
    """Return how many numbers of a target some frames have."""
    some = frames if chosen is None else [frames[number] for number in chosen]
    values = [frame.get(NAMES[name]) for frame in some]
    return sum(int(np.isfinite(value).sum()) for value in values if value is not None)


def frames_with(frames: list[Frame], name: str) -> int:
    """Return how many frames have a number of a target."""
    return sum(labels(frames, name, [number]) > 0 for number in range(len(frames)))
