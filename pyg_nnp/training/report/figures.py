"""Plots of a model: its data, the course of its training, its errors; and of several trainings."""

from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pyg_nnp.fields import COMPARED, FIELDS
from pyg_nnp.training.records import History, Records
from pyg_nnp.training.report import drawing
from pyg_nnp.training.report.drawing import UnitNames
from pyg_nnp.training.report.error_figures import error_figures
from pyg_nnp.training.report.types import Array, Evaluation, Sample

_LABELS = {"E": "energy − references", "Fa": "component of force", "M2": "length of dipole"}
_LABELS |= {"Q": "total charge", "N": "atoms in a frame"}


def model_figures(sample: Sample, records: Records, evaluation: Evaluation, units: UnitNames) -> dict[str, Figure]:
    """Draw all plots of a model: title -> figure."""
    return {
        "data": data_figure(sample, units),
        "learning_curves": learning_curves(records.history, records.metrics.get("best_epoch"), units),
        **error_figures(evaluation, units),
    }


def data_figure(sample: Sample, units: UnitNames) -> Figure:
    """Draw a histogram of each field of a data set, of the numbers that are not missing."""
    values = sample.values
    shown = [name for name in _LABELS if name in values and np.nanmax(values[name]) > np.nanmin(values[name])]
    figure = drawing.panels(len(shown) + 2 + ("Qa" in values))
    axes = iter(figure.axes)
    _bars_of_elements(next(axes), values["Za"])
    drawing.histogram(next(axes), sample.distances, drawing.with_unit("distance of atoms", "Ra", units))
    for name in shown:
        rows = values[name]
        numbers = np.linalg.norm(rows, axis=1) if name == "M2" else rows.ravel()
        drawing.histogram(next(axes), numbers, drawing.with_unit(_LABELS[name], name, units))
    if "Qa" in values:
        _charges_by_element(next(axes), values["Za"], values["Qa"], units)
    return figure


def learning_curves(history: History, best: int | None, units: UnitNames) -> Figure:
    """Draw losses, learning rate and the errors on the validation part against the epochs, and mark the best one."""
    fields = history.fields()
    figure = drawing.panels(2 + len(fields))
    loss, rate, *others = figure.axes
    epochs = history.epochs
    for name, colour, label in (
        ("training_loss", drawing.BLUE, "training"),
        ("validation_loss", drawing.RED, "validation"),
    ):
        if name in history.columns:
            loss.plot(epochs, history.columns[name], color=colour, lw=1.2, label=label)
    drawing.logarithmic(loss, "loss")
    rate.plot(epochs, history.columns["learning_rate"], color=drawing.BLACK, lw=1.2)
    rate.set_ylabel("learning rate", fontsize=drawing.NORMAL)
    for axes, name in zip(others, fields, strict=True):
        for kind, dashes in (("rmse", "-"), ("mae", "--"), ("mse", ":")):
            if f"{kind}_{name}" in history.columns:
                axes.plot(
                    epochs, history.columns[f"{kind}_{name}"], dashes, color=drawing.RED, lw=1.2, label=kind.upper()
                )
        drawing.logarithmic(axes, drawing.with_unit(f"validation part:\nerror of {FIELDS[name].label}", name, units))
    for axes in figure.axes:
        _of_epochs(axes)
        if best is not None:
            axes.axvline(best, color=drawing.GREY, lw=0.8, ls=":", label="best epoch" if axes is loss else None)
        if axes is not rate:
            axes.legend(fontsize=drawing.SMALL, frameon=False)
    return figure


def compared_curves(runs: Sequence[tuple[str, History]]) -> Figure:
    """Lay the learning curves of some runs, each a label and a history, over each other."""
    columns = dict.fromkeys(name for _, history in runs for name in history.columns)
    names = [name for name in columns if name not in ("learning_rate", "seconds")]
    figure = drawing.panels(len(names), below=0.2 + 0.16 * len(runs))
    lines: list[Line2D] = []
    for axes, name in zip(figure.axes, names, strict=True):
        lines = []
        for number, (_, history) in enumerate(runs):
            style = drawing.DASHES[number // len(drawing.COLOURS) % len(drawing.DASHES)]
            values = history.columns.get(name, np.full(len(history.epochs), np.nan))
            colour = drawing.COLOURS[number % len(drawing.COLOURS)]
            lines += axes.plot(history.epochs, values, style, color=colour, lw=1.2)
        kind, _, field = name.partition("_")
        words = f"{kind.upper()} of {FIELDS[field].label}" if field in COMPARED else name.replace("_", " ")
        drawing.logarithmic(axes, words)
        _of_epochs(axes)
    # a label may begin with "_" and have dollars, which mean something to matplotlib
    labels = [f"{number}  {label}" for number, (label, _) in enumerate(runs, 1)]
    legend = figure.legend(lines, labels, loc="lower left", fontsize=drawing.SMALL, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _of_epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch", fontsize=drawing.NORMAL)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10), integer=True))


def _bars_of_elements(axes: Axes, Za: Array) -> None:
    elements, counts = np.unique(Za.astype(int), return_counts=True)
    axes.bar(range(len(elements)), counts, 0.6, color=drawing.BLUE)
    axes.set_xticks(range(len(elements)), [chemical_symbols[Z] for Z in elements])
    axes.set_xlabel("element", fontsize=drawing.NORMAL)
    axes.set_ylabel("count", fontsize=drawing.NORMAL)


def _charges_by_element(axes: Axes, Za: Array, Qa: Array, units: UnitNames) -> None:
    Za, Qa = Za[np.isfinite(Qa)], Qa[np.isfinite(Qa)]
    low, high = drawing.ends_of(Qa)
    for Z, (colour, dashes) in zip(np.unique(Za.astype(int)), drawing.styles(), strict=False):
        counts, edges = np.histogram(Qa[Za == Z], 80, (low, high))
        axes.stairs(counts, edges, color=colour, ls=dashes, lw=1.2, label=chemical_symbols[Z])
    drawing.logarithmic(axes, "count")
    # room for the legend
    axes.set_ylim(0.7, 6 ** -(-len(np.unique(Za)) // 4) * axes.get_ylim()[1])
    axes.set_xlabel(drawing.with_unit("atomic charge", "Qa", units), fontsize=drawing.NORMAL)
    axes.legend(fontsize=drawing.SMALL, frameon=False, ncols=4, handlelength=1, columnspacing=1)
