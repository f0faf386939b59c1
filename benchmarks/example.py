"""Errors of the example's two configurations, SchNet's and the Cartesian core's, after the same CPU time of training.

OMP_NUM_THREADS=1 python benchmarks/example.py --seeds 3 --json example.json

SchNet trains for the epochs of ``train.yaml``; the Cartesian core for ``--minutes``, about what these take.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

time.perf_counter = time.process_time  # before the package takes it; other programs on the machine do not count

import torch  # noqa: E402
from common import make_parser  # noqa: E402
from frames import EXAMPLE  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from pyg_nnp import load_config  # noqa: E402
from pyg_nnp.commands import train  # noqa: E402

FIELDS = ("E", "Fa", "Qa", "M2")


def trained(name: str, seed: int, minutes: float, small: bool) -> dict[str, float]:
    """Train once and return the root mean square errors on the test part, and the CPU time [s]."""
    config = load_config(EXAMPLE / name)
    changes: dict[str, object] = {"seed": seed, "report": False}
    if config.Trainer.max_time is not None:
        changes["max_time"] = minutes
    if small:
        changes |= {"max_epochs": 1, "Splitter": config.Trainer.Splitter.model_copy(update={"ratios": [40, 10, 20]})}
    config = config.model_copy(update={"Trainer": config.Trainer.model_copy(update=changes)})
    ((model, _),) = config.Modelhub.internal_FFs.items()
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        train.train(config, Path(folder))
        seconds = time.process_time() - begin
        metrics = json.loads((Path(folder) / config.folder_name(model) / "metrics.json").read_text())
    rmse: dict[str, float] = metrics["test"]["rmse"]
    return {field: rmse[field] for field in FIELDS} | {"seconds": seconds}


def main() -> None:
    parser: argparse.ArgumentParser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=1.4)
    parser.add_argument("--small", action="store_true", help="few frames and one epoch, to see whether it runs")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.chdir(EXAMPLE)
    rows = [
        {"config": name, "seed": seed, **trained(name, seed, arguments.minutes, arguments.small)}
        for seed in range(arguments.seeds)
        for name in ("train.yaml", "cartesian.yaml")
    ]
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n", encoding="utf-8")
    table = Table(*rows[0], title="Test part of the example: Hartree, Hartree/Å, e, e Å; CPU seconds")
    for row in sorted(rows, key=lambda row: str(row["config"])):
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
