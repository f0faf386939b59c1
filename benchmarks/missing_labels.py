"""What missing labels cost: test errors over seeds with 30 % of each label removed at random.

python benchmarks/missing_labels.py --threads 1 --json missing.json

The example's training to its last epoch, with the same validation and test parts and as many steps in each row:
``whole`` all training frames, ``removed`` of which each label was removed from 30 %, independently of the others,
``complete`` those frames of ``removed`` that have all labels, ``as many`` whole frames with as many labels as
``removed`` has, ``as many a step`` the same in batches of 7 instead of 10 frames, so with as many labels in each step.
"""

import argparse
import json
import os
import pickle
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pyg_nnp import load_config
from pyg_nnp.commands import train as run

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "alanine_dipeptide"
LABELS = ("energy", "forces", "atomic_charges", "dipole")
SHARE = 0.3
ROWS = ("whole", "removed", "complete", "as many", "as many a step")


def training_frames(row: str, frames: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Return the training frames of a row of the table."""
    is_there = np.random.default_rng(seed).random((len(frames), len(LABELS))) >= SHARE
    if row == "whole":
        return list(frames)
    if row == "complete":
        return [frame for frame, labels in zip(frames, is_there, strict=True) if labels.all()]
    if row.startswith("as many"):
        return list(frames[: round((1 - SHARE) * len(frames))])
    return [
        frame | {name: None for name, label in zip(LABELS, labels, strict=True) if not label}
        for frame, labels in zip(frames, is_there, strict=True)
    ]


def errors_of(row: str, seed: int, epochs: int, num_frames: int) -> dict[str, Any]:
    """Train once and return the errors (RMSE) of the test part."""
    frames = pickle.loads((EXAMPLE / "dataset.pkl").read_bytes())
    order = np.random.default_rng(0).permutation(len(frames))[:num_frames]
    cut = [round(0.7 * len(order)), round(0.8 * len(order))]
    training, *others = ([frames[i] for i in part] for part in np.split(order, cut))
    chosen = training_frames(row, training, seed)
    with tempfile.TemporaryDirectory() as folder:
        ratios = [len(chosen), *map(len, others)]
        (Path(folder) / "frames.pkl").write_bytes(pickle.dumps([*chosen, *others[0], *others[1]]))
        config = load_config(EXAMPLE / "train.yaml")
        (name,) = config.Modelhub.internal_FFs
        data = {"data_path": str(Path(folder) / "frames.pkl"), "allow_missing": ["E", "Fa", "Qa", "M2"]}
        splitter = config.Trainer.Splitter.model_copy(update={"method": "order", "ratios": ratios})
        whole = config.Trainer.batch_size
        batch_size = round((1 - SHARE) * whole) if row == "as many a step" else whole
        num_epochs = round(epochs * len(training) / len(chosen) * batch_size / whole)
        trainer = {"seed": seed, "max_epochs": num_epochs, "patience": None, "batch_size": batch_size}
        changes = {
            "Datahub": config.Datahub.model_copy(update=data),
            "Trainer": config.Trainer.model_copy(update=trainer | {"Splitter": splitter}),
        }
        config = config.model_copy(update=changes)
        run.train(config, Path(folder))
        metrics = json.loads((Path(folder) / config.folder_name(name) / "metrics.json").read_text())
    return {"frames": len(chosen), **metrics["test"]["rmse"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--epochs", type=int, default=60, help="over the whole training part")
    parser.add_argument("--small", action="store_true", help="few frames, to see whether it runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go, too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.json:
        arguments.json = arguments.json.absolute()
    os.chdir(EXAMPLE)
    num_frames = 100 if arguments.small else None
    rows = [
        {"labels": row, "seed": seed, **errors_of(row, seed, arguments.epochs, num_frames)}
        for seed in arguments.seeds
        for row in arguments.rows
    ]
    fields = [name for name in rows[0] if name not in ("labels", "seed", "frames")]
    table = Table("labels", "frames", *fields, title=f"Test errors (RMSE), {len(arguments.seeds)} seeds")
    for row in arguments.rows:
        of_row = [found for found in rows if found["labels"] == row]
        values = [[found[name] for found in of_row] for name in fields]
        spread = [f" ± {statistics.stdev(v):.2g}" if len(v) > 1 else "" for v in values]
        words = [f"{statistics.mean(v):.4g}{s}" for v, s in zip(values, spread, strict=True)]
        table.add_row(row, f"{statistics.mean(found['frames'] for found in of_row):.0f}", *words)
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"epochs": arguments.epochs, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
