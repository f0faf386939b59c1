import csv
import json
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from reports import HARTREE, opened

from pyg_nnp.training.metrics import ErrorRow
from pyg_nnp.training.report import figures
from pyg_nnp.training.report.drawing import png
from pyg_nnp.training.report.records import read_history
from pyg_nnp.training.report.sample import sample
from pyg_nnp.training.report.scene import scene
from pyg_nnp.training.report.types import Frame, Points


def test_predictions_that_are_not_finite_are_drawn_and_come_first() -> None:
    odd = np.array([1.0, np.nan, np.inf, 2.0])
    assert len(png(figures.parity("Fa", Points(np.arange(4.0), odd, 4), "test", np.nan, np.nan, HARTREE))) > 1000
    nothing = np.full(4, np.nan)
    assert len(png(figures.parity("E", Points(np.arange(4.0), nothing, 4), "test", np.nan, np.nan, HARTREE))) > 1000
    frame = Frame(0, np.array([8, 1]), np.eye(3)[:2], {"Fa": np.nan}, np.array([np.nan, 0.5]))
    found = scene([frame], 1.0, "eV/Å")
    json.dumps(found, allow_nan=False)
    assert np.isfinite(found["frames"][0]["errors"]).all()


def test_many_points_are_counted(tmp_path: Path) -> None:
    true = np.random.default_rng(0).normal(size=30_000)
    figure = figures.parity("Fa", Points(true, true + 0.1, 30_000), "test", 0.1, 0.1, HARTREE)
    assert any(text.get_text().startswith("test part") for text in figure.axes[0].texts)
    assert [type(part).__name__ for part in figure.axes[0].collections] == ["PolyCollection"]
    assert len(png(figure)) > 1000


def test_charges_have_the_colour_of_their_element() -> None:
    true = np.random.default_rng(0).normal(size=30_000)
    Za = np.array([7, 8, 7] * 10_000)
    axes = figures.parity("Qa", Points(true, true + 0.1, 30_000, 1.0, Za), "test", 0.1, 0.1, HARTREE).axes[0]
    drawn = {line.get_label(): len(line.get_xdata()) for line in axes.lines if line.get_label() in ("N", "O")}
    assert sum(drawn.values()) == 10_000
    assert drawn["N"] == pytest.approx(2 * drawn["O"], rel=0.1)
    assert axes.get_legend() is not None


def test_nothing_of_matplotlib_is_changed(reported: Path) -> None:
    before, there = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    _, dataset, _ = opened(reported / "out")
    png(figures.data_figure(sample(dataset, torch.zeros(119, dtype=torch.float64)), HARTREE))
    png(figures.errors_by_element([ErrorRow("Fa", "H", 9, 0.1, 0.2, 0.3)], "test", HARTREE))
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
