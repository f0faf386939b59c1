"""Trainings that one process or several do with the same result; as a program, those of one of several processes."""

import sys
from pathlib import Path
from typing import Any

from gaps import config_with_gaps, write_with_gaps
from toy import toy_config, write_toy
from toy_training import train_toy

from pyg_nnp.runtime import processes
from pyg_nnp.runtime.launch import launched

MIXED = ("H2O", "CH3OH", "C2H6")
# 41 frames: 21 for training, the last batch is smaller
EXACT: dict[str, Any] = {"Trainer__dtype": "float64", "Trainer__report": False}
WEIGHTS: dict[str, Any] = {
    "rmse": {"E": 1, "Q": 1},
    "rmse_per_atom": {"E": {"from": 1.0, "to": 0.1}},
    "l2norm": {"Fa": 1},
    "huber_0.01": {"Qa": 1},
    "mse": {"M2": 1},
}
CASES: dict[str, dict[str, Any]] = {
    "mixed": toy_config(**EXACT, Trainer__batch_size=6),
    # the last batch has one frame, which is less than there are processes
    "unvalidated": toy_config(
        **EXACT, Trainer__batch_size=4, Trainer__Splitter={"parts": ["training", "test"], "ratios": [21, None]}
    ),
    "gaps": config_with_gaps(
        **EXACT,
        Trainer__ema=0.99,
        Trainer__optimizer="muon",
        Trainer__max_norm=1.0,
        Trainer__schedule="plateau",
        Trainer__weight_decay=0.01,
        Modelhub__FF01__loss=WEIGHTS,
    ),
}


def write_data(folder: Path) -> None:
    """Write the data of all cases, each in a folder of its own."""
    for name in CASES:
        place = folder / name
        place.mkdir()
        if name == "gaps":
            write_with_gaps(place, frames=41, names=MIXED)
        else:
            write_toy(place, frames=41, names=MIXED)


def train_all(folder: Path, out: str) -> None:
    """Train all cases."""
    for name, document in CASES.items():
        hub = document["Datahub"]
        hub["data_path"] = str(folder / name / "dataset.pkl")
        hub["transforms"]["atomic_energy"] = str(folder / name / "atomic_energy.csv")
        train_toy(str(folder / name / out), document)


if __name__ == "__main__":
    launch = launched()
    assert launch is not None
    with processes.joined(launch):
        train_all(Path.cwd(), sys.argv[1])
