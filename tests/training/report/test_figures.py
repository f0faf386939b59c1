import csv
import sys
from pathlib import Path

import matplotlib
import torch
from reports import HARTREE, opened

from pyg_nnp.training.metrics import ErrorRow
from pyg_nnp.training.records import read_history
from pyg_nnp.training.report import figures
from pyg_nnp.training.report.error_figures import errors_by_element
from pyg_nnp.training.report.page import Picture
from pyg_nnp.training.report.sample import sample


def test_nothing_of_matplotlib_is_changed(reported: Path) -> None:
    before, there = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    _, dataset, _ = opened(reported / "out")
    Picture.of(figures.data_figure(sample(dataset, torch.zeros(119, dtype=torch.float64)), HARTREE))
    Picture.of(errors_by_element([ErrorRow("Fa", "H", 9, 0.1, 0.2, 0.3)], "test", HARTREE))
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == there


def test_one_learning_curve_for_each_run(copied: Path, two: list[str]) -> None:
    histories = [(out, read_history(copied / out / "FF01-SchNet/history.csv")) for out in two]
    figure = figures.compared_curves(histories)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"{n}  {out}" for n, out in enumerate(two, 1)]
    with (copied / "out/FF01-SchNet/history.csv").open() as file:
        losses = [float(row["training_loss"]) for row in csv.DictReader(file)]
    assert figure.axes[0].lines[0].get_ydata().tolist() == losses
    assert all(len(axes.lines) == 2 for axes in figure.axes)
