"""How far tabulated filters are from exact ones, in double precision, for a fresh model and for a trained one.

python benchmarks/accuracy.py --json accuracy.json

The specification's model on the example's frames. The trained one has seen all of them as often as ``--epochs`` says,
in single precision and with tables. Predictions, and the gradient of the loss by each parameter, of the same
weights with ``filters: table`` and ``filters: exact``.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from common import BATCH_SIZE, Ours, make_dataset
from frames import dipeptides
from rich.console import Console
from rich.table import Table
from torch import Tensor

from pyg_nnp.layers.cores.schnet import SchNetCore
from pyg_nnp.training.loss import weighted_loss


def results(state: dict[str, Tensor], filters: str, batch) -> tuple[dict[str, Tensor], int]:
    """Return predictions and gradients in double precision, and the number of rows of the tables."""
    ours = Ours("cpu", filters=filters)
    potential = ours.potential.double().train()
    potential.load_state_dict(state)
    predicted = potential(batch)
    weighted_loss(predicted, batch, ours.loss).backward(inputs=list(potential.parameters()))
    found = {name: value.detach() for name, value in predicted.items()}
    found |= {f"gradient of {name}": parameter.grad for name, parameter in potential.named_parameters()}
    (core,) = (layer for layer in potential.layers if isinstance(layer, SchNetCore))
    return found, core.filter_table.num_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--small", action="store_true", help="few frames, to see whether it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go, too")
    arguments = parser.parse_args()
    frames = dipeptides()[:: 100 if arguments.small else 1]
    ours, order = Ours("cpu"), torch.Generator().manual_seed(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        dataset = make_dataset(frames, Path(folder))
        every = torch.arange(len(dataset))
        batch = dataset.batch(every[:: max(len(every) // BATCH_SIZE, 1)][:BATCH_SIZE])
        for epochs in (0, arguments.epochs):
            for _ in range(epochs):
                losses = [ours.step(batch) for batch in dataset.batches(every, BATCH_SIZE // 2, order)]
                ours.potential.eval()  # as a validation does
            state = {name: value.double() for name, value in ours.potential.state_dict().items()}
            (found, num_rows), (right, _) = results(state, "table", batch), results(state, "exact", batch)
            errors = {name: float((found[name] - right[name]).norm() / right[name].norm()) for name in right}
            gradients = {name: error for name, error in errors.items() if name.startswith("gradient")}
            shown = {name: error for name, error in errors.items() if name not in gradients}
            shown["largest of the gradients"] = max(gradients.values())
            rows.append(
                {"epochs": epochs, "loss": sum(losses) / len(losses) if epochs else None, "rows": num_rows, **shown}
            )
    table = Table(
        "epochs", "rows", *list(rows[0])[3:], title="Tables against exact filters, relative, in double precision"
    )
    for row in rows:
        table.add_row(str(row["epochs"]), str(row["rows"]), *[f"{value:.1e}" for value in list(row.values())[3:]])
    Console(width=140).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
