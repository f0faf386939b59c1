"""The plots of a report: functions of numbers, each of which returns a figure."""

from collections.abc import Iterator, Sequence
from itertools import cycle, groupby

import numpy as np
from ase.data import chemical_symbols
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pyg_nnp.fields import COMPARED, FIELDS
from pyg_nnp.training.metrics import ErrorRow
from pyg_nnp.training.report.drawing import (
    BLACK,
    BLUE,
    COLOURS,
    DASHES,
    GREY,
    NORMAL,
    ORANGE,
    RED,
    SMALL,
    UnitNames,
    ends_of,
    histogram,
    logarithmic,
    panels,
    with_unit,
)
from pyg_nnp.training.report.types import Array, History, Points, Sample

# of more points a scatter plot is one spot
_MANY_POINTS = 10_000


def data_figure(sample: Sample, units: UnitNames) -> Figure:
    """Draw a histogram of each field of a data set."""
    values = sample.values
    shown = [name for name in ("E", "Fa", "M2", "Q", "N") if name in values and np.ptp(values[name]) > 0]
    figure = panels(len(shown) + 2 + ("Qa" in values))
    axes = iter(figure.axes)
    _bars_of_elements(next(axes), values["Za"])
    histogram(next(axes), sample.distances, with_unit("distance of atoms", "Ra", units))
    for name in shown:
        rows = values[name]
        label = {
            "E": "energy − references",
            "Fa": "component of force",
            "M2": "length of dipole",
            "Q": "total charge",
            "N": "atoms in a frame",
        }[name]
        numbers = np.linalg.norm(rows, axis=1) if name == "M2" else rows.ravel()
        histogram(next(axes), numbers, with_unit(label, name, units))
    if "Qa" in values:
        _charges_by_element(next(axes), values["Za"], values["Qa"], units)
    return figure


def learning_curves(history: History, best: int | None, units: UnitNames) -> Figure:
    """Draw losses, learning rate and the errors on the validation part against the epochs.

    Args:
        history: of the training.
        best: the best epoch.
        units: of the data.
    """
    fields = history.fields()
    figure = panels(2 + len(fields))
    loss, rate, *others = figure.axes
    epochs = history.epochs
    for name, colour, label in (("training_loss", BLUE, "training"), ("validation_loss", RED, "validation")):
        if name in history.columns:
            loss.plot(epochs, history.columns[name], color=colour, lw=1.2, label=label)
    logarithmic(loss, "loss")
    rate.plot(epochs, history.columns["learning_rate"], color=BLACK, lw=1.2)
    rate.set_ylabel("learning rate", fontsize=NORMAL)
    for axes, name in zip(others, fields, strict=True):
        for kind, dashes in (("rmse", "-"), ("mae", "--"), ("mse", ":")):
            if f"{kind}_{name}" in history.columns:
                axes.plot(epochs, history.columns[f"{kind}_{name}"], dashes, color=RED, lw=1.2, label=kind.upper())
        logarithmic(axes, with_unit(f"validation part:\nerror of {FIELDS[name].label}", name, units))
    for axes in figure.axes:
        _of_epochs(axes)
        if best is not None:
            axes.axvline(best, color=GREY, lw=0.8, ls=":", label="best epoch" if axes is loss else None)
        if axes is not rate:
            axes.legend(fontsize=SMALL, frameon=False)
    return figure


def parity(name: str, points: Points, part: str, rmse: float, mae: float, units: UnitNames) -> Figure:
    """Draw predicted against true numbers of a field, and a histogram of the errors.

    Args:
        name: of the field.
        points: its numbers.
        part: of the data, that they belong to.
        rmse: over the whole part, to be written into the plot.
        mae: likewise.
        units: of the data.
    """
    figure = panels(2, (3.3, 2.9))
    left, right = figure.axes
    finite = np.isfinite(points.predicted)
    # energies differ too little from their mean to be seen otherwise
    shift = points.true.mean() if name == "E" else 0.0
    true, predicted = points.true[finite] - shift, points.predicted[finite] - shift
    ends = ends_of(np.concatenate([true, predicted]))
    if points.Za is None:
        _cloud(figure, left, true, predicted, ends)
    else:
        _points_by_element(left, true, predicted, points.Za[finite])
    left.plot(ends, ends, color=GREY, lw=0.8, zorder=0)
    left.set(xlim=ends, ylim=ends, aspect="equal")
    left.yaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 2.5, 5, 10)))
    word = f"{FIELDS[name].label} − mean" if name == "E" else FIELDS[name].label
    left.set_xlabel(with_unit(f"true {word}", name, units), fontsize=NORMAL)
    left.set_ylabel(with_unit(f"predicted {word}", name, units), fontsize=NORMAL)
    unit = units[FIELDS[name].unit]
    text = f"{part} part\nRMSE {rmse:.3g} {unit}\nMAE {mae:.3g} {unit}"
    left.text(0.04, 0.96, text, transform=left.transAxes, va="top", fontsize=SMALL)
    histogram(right, predicted - true, with_unit(f"error of {FIELDS[name].label}", name, units), around_zero=True)
    return figure


def _cloud(figure: Figure, axes: Axes, true: Array, predicted: Array, ends: tuple[float, float]) -> None:
    """Draw points, or how many there are in each place."""
    if len(true) <= _MANY_POINTS:
        axes.plot(true, predicted, "o", ms=2.5, mew=0, alpha=0.5 if len(true) < 2000 else 0.25, color=BLUE)
        return
    counts = axes.hexbin(true, predicted, gridsize=80, norm=LogNorm(), cmap="viridis_r", extent=(*ends, *ends), lw=0.1)
    place = axes.inset_axes((0.6, 0.12, 0.35, 0.04))
    bar = figure.colorbar(counts, cax=place, orientation="horizontal")
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.set_title("count", fontsize=SMALL, pad=3)


def _points_by_element(axes: Axes, true: Array, predicted: Array, Za: Array) -> None:
    """Draw points, or some of very many, in a colour for each element."""
    # at random: atoms come in the same order frame after frame
    some = np.random.default_rng(0).permutation(len(true))[:_MANY_POINTS]
    true, predicted, Za = true[some], predicted[some], Za[some]
    for Z, (colour, _) in zip(np.unique(Za), _styles(), strict=False):
        of = Za == Z
        axes.plot(true[of], predicted[of], "o", ms=2, mew=0, alpha=0.5, color=colour, label=chemical_symbols[Z])
    axes.legend(
        fontsize=SMALL, frameon=False, ncols=2, loc="lower right", handletextpad=0, columnspacing=0.3, markerscale=2
    )


def _styles() -> Iterator[tuple[str, str]]:
    """Yield colour and dashes of elements in their order."""
    return cycle((colour, dashes) for dashes in DASHES for colour in COLOURS)


def errors_by_element(rows: Sequence[ErrorRow], part: str, units: UnitNames) -> Figure:
    """Draw RMSE and MAE of the fields of atoms for each element.

    Args:
        rows: of single elements, field by field.
        part: of the data, that they belong to.
        units: of the data.
    """
    by_field = {name: list(of) for name, of in groupby(rows, lambda row: row.field)}
    most = max(map(len, by_field.values()))
    figure = panels(len(by_field), (3.3, 0.7 + 0.36 * most), left=0.95, above=0.25)
    for axes, (name, errors) in zip(figure.axes, by_field.items(), strict=True):
        places = np.arange(len(errors))
        for offset, kind, colour in ((-0.18, "rmse", BLUE), (0.18, "mae", ORANGE)):
            axes.barh(places + offset, [getattr(row, kind) for row in errors], 0.34, color=colour, label=kind.upper())
        axes.set_yticks(places, [f"{row.of} ({row.count})" for row in errors])
        axes.invert_yaxis()
        axes.set_xlabel(with_unit(f"error of {FIELDS[name].label}, {part} part", name, units), fontsize=NORMAL)
    bars, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(bars, labels, loc="upper right", ncols=2, fontsize=SMALL, frameon=False)
    return figure


def compared_curves(runs: Sequence[tuple[str, History]]) -> Figure:
    """Lay the learning curves of some runs over each other.

    Args:
        runs: label and history of each.
    """
    columns = dict.fromkeys(name for _, history in runs for name in history.columns)
    names = [name for name in columns if name not in ("learning_rate", "seconds")]
    figure = panels(len(names), below=0.2 + 0.16 * len(runs))
    lines: list[Line2D] = []
    for axes, name in zip(figure.axes, names, strict=True):
        lines = []
        for number, (_, history) in enumerate(runs):
            style = DASHES[number // len(COLOURS) % len(DASHES)]
            values = history.columns.get(name, np.full(len(history.epochs), np.nan))
            colour = COLOURS[number % len(COLOURS)]
            lines += axes.plot(history.epochs, values, style, color=colour, lw=1.2)
        kind, _, field = name.partition("_")
        words = f"{kind.upper()} of {FIELDS[field].label}" if field in COMPARED else name.replace("_", " ")
        logarithmic(axes, words)
        _of_epochs(axes)
    # a label may begin with "_" and have dollars, which mean something to matplotlib
    labels = [f"{number}  {label}" for number, (label, _) in enumerate(runs, 1)]
    legend = figure.legend(lines, labels, loc="lower left", fontsize=SMALL, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _of_epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch", fontsize=NORMAL)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10), integer=True))


def _bars_of_elements(axes: Axes, Za: Array) -> None:
    elements, counts = np.unique(Za.astype(int), return_counts=True)
    axes.bar(range(len(elements)), counts, 0.6, color=BLUE)
    axes.set_xticks(range(len(elements)), [chemical_symbols[Z] for Z in elements])
    axes.set_xlabel("element", fontsize=NORMAL)
    axes.set_ylabel("count", fontsize=NORMAL)


def _charges_by_element(axes: Axes, Za: Array, Qa: Array, units: UnitNames) -> None:
    low, high = ends_of(Qa)
    for Z, (colour, dashes) in zip(np.unique(Za.astype(int)), _styles(), strict=False):
        counts, edges = np.histogram(Qa[Za == Z], 80, (low, high))
        axes.stairs(counts, edges, color=colour, ls=dashes, lw=1.2, label=chemical_symbols[Z])
    logarithmic(axes, "count")
    # room for the legend
    axes.set_ylim(0.7, 6 ** -(-len(np.unique(Za)) // 4) * axes.get_ylim()[1])
    axes.set_xlabel(with_unit("atomic charge", "Qa", units), fontsize=NORMAL)
    axes.legend(fontsize=SMALL, frameon=False, ncols=4, handlelength=1, columnspacing=1)
