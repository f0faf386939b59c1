"""Plots of the errors of a potential."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from ase.data import chemical_symbols
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from pyg_nnp.fields import FIELDS
from pyg_nnp.training.metrics import ALL, OF_ATOM, ErrorRow
from pyg_nnp.training.report import drawing
from pyg_nnp.training.report.drawing import UnitNames
from pyg_nnp.training.report.types import Array, Evaluation, Points

# of more points a scatter plot is one spot
_MANY_POINTS = 10_000


def error_figures(evaluation: Evaluation, units: UnitNames) -> dict[str, Figure]:
    """Draw the errors of a potential: title -> figure."""
    rows = {row.field: row for row in evaluation.rows if row.of == ALL}
    drawn = {
        f"parity_{name}": parity(name, points, evaluation.part, rows[name].rmse, rows[name].mae, units)
        for name, points in evaluation.points.items()
        # where all molecules have the same charge, there is nothing to compare
        if name != "Q" or np.ptp(points.true) > 0
    }
    by_element = [row for row in evaluation.rows if row.of not in (ALL, OF_ATOM)]
    if by_element:
        drawn["errors_by_element"] = errors_by_element(by_element, evaluation.part, units)
    return drawn


def parity(name: str, points: Points, part: str, rmse: float, mae: float, units: UnitNames) -> Figure:
    """Draw predicted against true numbers of a field, and a histogram of the errors; RMSE and MAE are of the part."""
    figure = drawing.panels(2, (3.3, 2.9))
    left, right = figure.axes
    finite = np.isfinite(points.predicted)
    # energies differ too little from their mean to be seen otherwise
    shift = points.true.mean() if name == "E" else 0.0
    true, predicted = points.true[finite] - shift, points.predicted[finite] - shift
    ends = drawing.ends_of(np.concatenate([true, predicted]))
    if points.Za is None:
        _cloud(figure, left, true, predicted, ends)
    else:
        _points_by_element(left, true, predicted, points.Za[finite])
    left.plot(ends, ends, color=drawing.GREY, lw=0.8, zorder=0)
    left.set(xlim=ends, ylim=ends, aspect="equal")
    left.yaxis.set_major_locator(drawing.few_ticks())
    word = f"{FIELDS[name].label} − mean" if name == "E" else FIELDS[name].label
    left.set_xlabel(drawing.with_unit(f"true {word}", name, units), fontsize=drawing.NORMAL)
    left.set_ylabel(drawing.with_unit(f"predicted {word}", name, units), fontsize=drawing.NORMAL)
    unit = units[FIELDS[name].unit]
    text = f"{part} part\nRMSE {rmse:.3g} {unit}\nMAE {mae:.3g} {unit}"
    left.text(0.04, 0.96, text, transform=left.transAxes, va="top", fontsize=drawing.SMALL)
    drawing.histogram(
        right, predicted - true, drawing.with_unit(f"error of {FIELDS[name].label}", name, units), around_zero=True
    )
    return figure


def _cloud(figure: Figure, axes: Axes, true: Array, predicted: Array, ends: tuple[float, float]) -> None:
    """Draw points, or how many there are in each place."""
    if len(true) <= _MANY_POINTS:
        axes.plot(true, predicted, "o", ms=2.5, mew=0, alpha=0.5 if len(true) < 2000 else 0.25, color=drawing.BLUE)
        return
    counts = axes.hexbin(true, predicted, gridsize=80, norm=LogNorm(), cmap="viridis_r", extent=(*ends, *ends), lw=0.1)
    place = axes.inset_axes((0.6, 0.12, 0.35, 0.04))
    bar = figure.colorbar(counts, cax=place, orientation="horizontal")
    bar.ax.tick_params(labelsize=drawing.SMALL)
    bar.ax.set_title("count", fontsize=drawing.SMALL, pad=3)


def _points_by_element(axes: Axes, true: Array, predicted: Array, Za: Array) -> None:
    """Draw points, or some of very many, in a colour for each element."""
    # at random: atoms come in the same order frame after frame
    some = np.random.default_rng(0).permutation(len(true))[:_MANY_POINTS]
    true, predicted, Za = true[some], predicted[some], Za[some]
    for Z, (colour, _) in zip(np.unique(Za), drawing.styles(), strict=False):
        of = Za == Z
        axes.plot(true[of], predicted[of], "o", ms=2, mew=0, alpha=0.5, color=colour, label=chemical_symbols[Z])
    axes.legend(
        fontsize=drawing.SMALL,
        frameon=False,
        ncols=2,
        loc="lower right",
        handletextpad=0,
        columnspacing=0.3,
        markerscale=2,
    )


def errors_by_element(rows: Sequence[ErrorRow], part: str, units: UnitNames) -> Figure:
    """Draw RMSE and MAE of the fields of atoms for each element; the rows are of elements, field by field."""
    by_field = {name: list(of) for name, of in groupby(rows, lambda row: row.field)}
    most = max(map(len, by_field.values()))
    figure = drawing.panels(len(by_field), (3.3, 0.7 + 0.36 * most), left=0.95, above=0.25)
    for axes, (name, errors) in zip(figure.axes, by_field.items(), strict=True):
        places = np.arange(len(errors))
        for offset, kind, colour in ((-0.18, "rmse", drawing.BLUE), (0.18, "mae", drawing.ORANGE)):
            axes.barh(places + offset, [getattr(row, kind) for row in errors], 0.34, color=colour, label=kind.upper())
        axes.set_yticks(places, [f"{row.of} ({row.count})" for row in errors])
        axes.invert_yaxis()
        axes.set_xlabel(
            drawing.with_unit(f"error of {FIELDS[name].label}, {part} part", name, units), fontsize=drawing.NORMAL
        )
    bars, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(bars, labels, loc="upper right", ncols=2, fontsize=drawing.SMALL, frameon=False)
    return figure
