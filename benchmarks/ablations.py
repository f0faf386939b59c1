"""What each part of the Cartesian core's recipe brings: errors after the same minutes without it.

python benchmarks/ablations.py --data md17_ethanol.npz --minutes 2 --json ablations.json

The file that ``pyg-nnp init`` writes, trained as ``benchmarks/peers/force_errors.py`` does it, in CPU time of one
thread, and then with one part left out. Products and tensors of rank 2 are left out by weights that are 0 and stay so:
a step takes as long as with them. Each training is a process of its own.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from peers.force_errors import train_ours
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

Document = dict[str, Any]


def with_adam(document: Document) -> None:
    document["Trainer"]["optimizer"] = "adam"


def without_averages(document: Document) -> None:
    document["Trainer"]["ema"] = None


def with_squares(document: Document) -> None:
    """Let the loss be root mean squares, with the weights that the means have."""
    model = document["Modelhub"]["FF01"]
    model["loss"] = {"rmse": {"E": model["loss"]["mae_per_atom"]["E"], "Fa": model["loss"]["l2norm"]["Fa"]}}


def with_constant_rate(document: Document) -> None:
    document["Trainer"] |= {"schedule": "constant", "warmup_ratio": 0.0}


def without_start(document: Document) -> None:
    """Let the weights have unit variance by their number alone, and outputs no scale."""
    from pyg_nnp.layers.cores.cartesian import CartesianCore

    CartesianCore.initialise = lambda self, **fields: None  # type: ignore[method-assign]
    CartesianCore.scale_outputs = lambda self, energy, charge: None  # type: ignore[method-assign]


def without_products(document: Document) -> None:
    """Leave out M1 T M1 among the invariants, and T M1, [M1 M1] and [T T] in the updates."""
    _kept_at_0(lambda one, F: [one.lin1.weight[:, 4 * F :], *(one.lin2.weight[n * F : (n + 1) * F] for n in (2, 4, 5))])


def without_matrices(document: Document) -> None:
    """Leave out all of rank 2."""
    _kept_at_0(lambda one, F: [one.mix[2].weight, *(layer.weight for layer in [*one.update][1:])])


def one_interaction(document: Document) -> None:
    (core,) = (layer for layer in document["Modelhub"]["FF01"]["layers"] if layer["name"] == "Core")
    core["params"]["num_interactions"] = 1


def _kept_at_0(parts: Callable[[nn.Module, int], Sequence[Tensor]]) -> None:
    """Let parts of the weights of each interaction be 0 from the start on, and have no gradients."""
    from pyg_nnp.layers.cores import cartesian

    made = cartesian.CartesianInteraction.__init__

    def make(self: nn.Module, dim_embedding: int, *arguments: Any) -> None:
        made(self, dim_embedding, *arguments)  # type: ignore[arg-type]
        if next(self.parameters()).is_meta:
            return  # it gets its weights from a file
        with torch.no_grad():
            masks = {name: torch.ones_like(weight) for name, weight in self.named_parameters()}
            for part in parts(self, dim_embedding):
                part.zero_()
            for name, weight in self.named_parameters():
                masks[name].masked_fill_(weight == 0, 0)
                if not name.endswith("bias") and not masks[name].all():
                    weight.register_hook(lambda grad, mask=masks[name]: grad * mask)

    cartesian.CartesianInteraction.__init__ = make  # type: ignore[method-assign,assignment]


PARTS: dict[str, Callable[[Document], None]] = {
    "everything": lambda document: None,
    "Adam instead of Muon": with_adam,
    "no averaged weights": without_averages,
    "squared errors": with_squares,
    "constant rate, no warm-up": with_constant_rate,
    "no start from data": without_start,
    "no products": without_products,
    "no rank 2": without_matrices,
    "one interaction": one_interaction,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="npz of MD17: z, R, E, F in kcal/mol and Å")
    parser.add_argument("--minutes", type=float, default=2.0, help="CPU time of each training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        torch.set_num_threads(1)
        print(json.dumps(train_ours(arguments.data.resolve(), arguments.minutes, arguments.seed, PARTS[arguments.one])))
        return
    rows = []
    # seeds last, so that all parts are known as early as can be
    for seed in range(arguments.seeds):
        for name in PARTS:
            command = [sys.executable, __file__, "--data", str(arguments.data), "--minutes", str(arguments.minutes)]
            done = subprocess.run([*command, "--one", name, "--seed", str(seed)], capture_output=True, text=True)
            # a training that ends in NaN is a result, too
            found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"failed": done.stderr[-300:]}
            rows.append({"part": name, "seed": seed, **found})
            print(rows[-1], flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    table = Table("", "force MAE, mean", "each seed", title=f"{arguments.data.name}, {arguments.minutes:g} minutes")
    for name in PARTS:
        errors = [row["force_mae"] for row in rows if row["part"] == name and "force_mae" in row]
        table.add_row(name, f"{mean(errors):.3f}" if errors else "failed", " ".join(f"{error:.3f}" for error in errors))
    Console().print(table)


if __name__ == "__main__":
    main()
