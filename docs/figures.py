"""The picture of the README, from the output folder of a training: python docs/figures.py OUT docs/example.png.

Shows the first model in OUT: errors of its forces at each epoch, and its predictions for the test part.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

import pyg_nnp
from pyg_nnp.data import MoleculeDataset, split_of

BLUE, RED, GREY = "#0072b2", "#d55e00", "#555555"


def learning_curves(axes: Axes, history: Path) -> None:
    """Draw the errors of forces on the validation part against the epochs."""
    with history.open() as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    for kind, style in (("rmse", "-"), ("mae", "--")):
        axes.semilogy(epochs, [float(row[f"{kind}_Fa"]) for row in rows], style, color=RED, label=kind.upper())
    axes.set(title="Validation", xlabel="epoch", ylabel="error of forces (Hartree/Å)")
    axes.set_yticks([0.004, 0.006, 0.01, 0.02], ["0.004", "0.006", "0.01", "0.02"])
    axes.minorticks_off()
    axes.legend(frameon=False)


def parity(axes: Axes, name: str, unit: str, true: NDArray[np.float64], predicted: NDArray[np.float64]) -> None:
    """Draw predicted against true values of the test part."""
    rmse = np.sqrt(np.mean((predicted - true) ** 2))
    ends = np.array([min(true.min(), predicted.min()), max(true.max(), predicted.max())])
    axes.plot(ends, ends, color=GREY, linewidth=0.8)
    axes.plot(true, predicted, ".", color=BLUE, markersize=2.5, alpha=0.4, rasterized=True)
    axes.locator_params(nbins=5)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set(title=f"Test: {name}", xlabel=f"GFN2-xTB ({unit})", ylabel=f"predicted ({unit})")
    axes.text(0.04, 0.96, f"RMSE {rmse:.2g} {unit}", transform=axes.transAxes, verticalalignment="top")


def main(out: Path, picture: Path) -> None:
    """Draw the picture and write it."""
    config = pyg_nnp.load_config(out / "config.yaml")
    folder = out / config.folder_name(next(iter(config.Modelhub.internal_FFs)))
    (store,) = out.glob("processed_dataset_*")
    dataset = MoleculeDataset(store)
    parts = split_of(config, dataset)
    test = dataset.batch(parts["test"])
    predicted = pyg_nnp.load_potential(folder)(test)

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    curves, energies, forces = figure.subplots(1, 3)
    learning_curves(curves, folder / "history.csv")
    shift = float(test.E.mean())
    parity(
        energies,
        "energies, less their mean",
        "Hartree",
        test.E.numpy() - shift,
        predicted["E"].detach().numpy() - shift,
    )
    parity(forces, "forces", "Hartree/Å", test.Fa.numpy().ravel(), predicted["Fa"].detach().numpy().ravel())
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
