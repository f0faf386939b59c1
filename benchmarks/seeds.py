"""Whether training with tabulated filters ends where training with exact ones does: test errors over seeds.

python benchmarks/seeds.py --json seeds.json

The example's training; with another number of epochs its schedule is stretched or shortened.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from pyg_nnp import load_config
from pyg_nnp.commands import train as run

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "alanine_dipeptide"


def errors_of(filters: str, seed: int, epochs: int, small: bool) -> dict[str, float]:
    """Train once and return the root mean square errors on the test part."""
    config = load_config(EXAMPLE / "train.yaml")
    ((name, model),) = config.Modelhub.internal_FFs.items()
    (core,) = (layer for layer in model.layers if layer.name == "Core")
    core.params["filters"] = filters
    splitter = config.Trainer.Splitter.model_copy(update={"ratios": [40, 10, 20]} if small else {})
    changes = {"seed": seed, "max_epochs": epochs, "patience": None, "Splitter": splitter}
    trainer = config.Trainer.model_copy(update=changes)
    config = config.model_copy(update={"Trainer": trainer})
    with tempfile.TemporaryDirectory() as folder:
        run.train(config, Path(folder))
        metrics = json.loads((Path(folder) / config.folder_name(name) / "metrics.json").read_text())
    return metrics["test"]["rmse"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--small", action="store_true", help="few frames, to see whether it runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go, too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    os.chdir(EXAMPLE)
    rows = [
        {"filters": filters, "seed": seed, **errors_of(filters, seed, arguments.epochs, arguments.small)}
        for seed in arguments.seeds
        for filters in ("table", "exact")
    ]
    fields = [name for name in rows[0] if name not in ("filters", "seed")]
    table = Table("filters", "seed", *fields, title=f"Test errors (RMSE) after {arguments.epochs} epochs")
    for row in rows:
        table.add_row(row["filters"], str(row["seed"]), *[f"{row[name]:.4g}" for name in fields])
    for filters in ("table", "exact"):
        of = {name: [row[name] for row in rows if row["filters"] == filters] for name in fields}
        if len(arguments.seeds) > 1:
            words = [f"{statistics.mean(v):.4g} ± {statistics.stdev(v):.2g}" for v in of.values()]
            table.add_row(filters, "mean", *words)
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"epochs": arguments.epochs, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
