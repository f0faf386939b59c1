"""The plots of a report: functions of numbers, each of which returns a figure.

Only objects of matplotlib are used, and no state that it shares with the plots of others. The colours are those of
Okabe and Ito (Color Universal Design, 2008), which people with any kind of colour vision can tell apart.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from ase.data import chemical_symbols
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter, MaxNLocator

from pyg_nnp.fields import FIELDS
from pyg_nnp.report.collect import Array, ElementErrors, Points
from pyg_nnp.report.history import History
from pyg_nnp.report.sample import Sample

BLUE, RED, GREEN, ORANGE, SKY, PURPLE, BLACK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
    "#000000",
)
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES = ("-", "--", ":", "-.")
SYMBOLS = {"E": "energy", "Fa": "force", "Qa": "atomic charge", "M2": "dipole", "Q": "sum of charges"}

_GREY = "#595959"
_DPI = 160
# inches
_PANEL, _BELOW, _MARGIN = (2.7, 2.1), 0.48, 0.12
_SMALL, _NORMAL = 7.5, 8.5  # points
# of more points a scatter plot is one spot
_MANY_POINTS = 10_000

Units = Mapping[str, str]


def png(figure: Figure) -> bytes:
    """Render a figure."""
    file = BytesIO()
    FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call]
    return file.getvalue()


def with_unit(text: str, name: str, units: Units) -> str:
    """Return a label with the unit of a field."""
    unit = units[FIELDS[name].unit]
    return f"{text} ({unit})" if unit else text


def data_figure(sample: Sample, units: Units) -> Figure:
    """Draw a histogram of each field of a data set."""
    values = sample.values
    shown = [name for name in ("E", "Fa", "M2", "Q", "N") if name in values and np.ptp(values[name]) > 0]
    panels = _panels(len(shown) + 2 + ("Qa" in values))
    axes = iter(panels.axes)
    _bars_of_elements(next(axes), values["Za"])
    _histogram(next(axes), sample.distances, with_unit("distance of atoms", "Ra", units))
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
        _histogram(next(axes), numbers, with_unit(label, name, units))
    if "Qa" in values:
        _charges_by_element(next(axes), values["Za"], values["Qa"], units)
    return panels


def learning_curves(history: History, best: int | None, units: Units) -> Figure:
    """Draw losses, learning rate and the errors on the validation part against the epochs.

    Args:
        history: of the training.
        best: the best epoch.
        units: of the data.
    """
    fields = history.fields()
    panels = _panels(2 + len(fields))
    loss, rate, *others = panels.axes
    epochs = history.epochs
    for name, colour, label in (("training_loss", BLUE, "training"), ("validation_loss", RED, "validation")):
        if name in history.columns:
            loss.plot(epochs, history.columns[name], color=colour, lw=1.2, label=label)
    _logarithmic(loss, "loss")
    rate.plot(epochs, history.columns["learning_rate"], color=BLACK, lw=1.2)
    rate.set_ylabel("learning rate", fontsize=_NORMAL)
    for axes, name in zip(others, fields, strict=True):
        for kind, dashes in (("rmse", "-"), ("mae", "--"), ("mse", ":")):
            if f"{kind}_{name}" in history.columns:
                axes.plot(epochs, history.columns[f"{kind}_{name}"], dashes, color=RED, lw=1.2, label=kind.upper())
        _logarithmic(axes, with_unit(SYMBOLS[name], name, units))
    for axes in panels.axes:
        axes.set_xlabel("epoch", fontsize=_NORMAL)
        if best is not None:
            axes.axvline(best, color=_GREY, lw=0.8, ls=":", label="best epoch" if axes is loss else None)
        if axes is not rate:
            axes.legend(fontsize=_SMALL, frameon=False)
    return panels


def parity(name: str, points: Points, rmse: float, mae: float, units: Units) -> Figure:
    """Draw predicted against true numbers of a field, and a histogram of the errors.

    Args:
        name: of the field.
        points: its numbers.
        rmse: over the whole part, to be written into the plot.
        mae: likewise.
        units: of the data.
    """
    figure = _panels(2, (3.3, 2.9))
    left, right = figure.axes
    finite = np.isfinite(points.predicted)
    # energies are told apart by what is left when their mean is taken away
    shift = points.true.mean() if name == "E" else 0.0
    true, predicted = points.true[finite] - shift, points.predicted[finite] - shift
    ends = _ends(np.concatenate([true, predicted]))
    if len(true) > _MANY_POINTS:
        counts = left.hexbin(
            true, predicted, gridsize=80, norm=LogNorm(), cmap="viridis_r", extent=(*ends, *ends), lw=0.1
        )
        bar = figure.colorbar(counts, cax=left.inset_axes((0.6, 0.12, 0.35, 0.04)), orientation="horizontal")
        bar.ax.tick_params(labelsize=_SMALL)
        bar.ax.set_title("count", fontsize=_SMALL, pad=3)
    else:
        # not joined by antialiasing into a spot where there are many
        left.plot(true, predicted, "o", ms=2.5, mew=0, alpha=0.5 if len(true) < 2000 else 0.25, color=BLUE)
    left.plot(ends, ends, color=_GREY, lw=0.8, zorder=0)
    left.set(xlim=ends, ylim=ends, aspect="equal")
    word = f"{SYMBOLS[name]} − mean" if name == "E" else SYMBOLS[name]
    left.set_xlabel(with_unit(f"true {word}", name, units), fontsize=_NORMAL)
    left.set_ylabel(with_unit(f"predicted {word}", name, units), fontsize=_NORMAL)
    unit = units[FIELDS[name].unit]
    text = f"RMSE {rmse:.3g} {unit}\nMAE {mae:.3g} {unit}"
    left.text(0.04, 0.96, text, transform=left.transAxes, va="top", fontsize=_SMALL)
    _histogram(right, predicted - true, with_unit(f"error of {SYMBOLS[name]}", name, units), around_zero=True)
    return figure


def errors_by_element(by_element: Mapping[str, Mapping[int, ElementErrors]], units: Units) -> Figure:
    """Draw RMSE and MAE of the fields of atoms for each element."""
    most = max(map(len, by_element.values()))
    figure = _panels(len(by_element), (3.3, 0.7 + 0.36 * most), left=0.95, above=0.25)
    for axes, (name, errors) in zip(figure.axes, by_element.items(), strict=True):
        places = np.arange(len(errors))
        for offset, kind, colour in ((-0.18, "rmse", BLUE), (0.18, "mae", ORANGE)):
            lengths = [getattr(of, kind) for of in errors.values()]
            axes.barh(places + offset, lengths, 0.34, color=colour, label=kind.upper())
        labels = [f"{chemical_symbols[Z]} ({of.atoms})" for Z, of in errors.items()]
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        axes.set_xlabel(with_unit(f"error of {SYMBOLS[name]}", name, units), fontsize=_NORMAL)
    bars, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(bars, labels, loc="upper right", ncols=2, fontsize=_SMALL, frameon=False)
    return figure


def compared_curves(runs: Sequence[tuple[str, History]]) -> Figure:
    """Lay the learning curves of some runs over each other.

    Args:
        runs: label and history of each.
    """
    names = list(dict.fromkeys(name for _, history in runs for name in history.columns if name != "learning_rate"))
    figure = _panels(len(names), below=0.2 + 0.16 * len(runs))
    lines: list[Line2D] = []
    for axes, name in zip(figure.axes, names, strict=True):
        lines = []
        for number, (_, history) in enumerate(runs):
            style = DASHES[number // len(COLOURS) % len(DASHES)]
            values = history.columns.get(name, np.full(len(history.epochs), np.nan))
            colour = COLOURS[number % len(COLOURS)]
            lines += axes.plot(history.epochs, values, style, color=colour, lw=1.2)
        kind, _, field = name.partition("_")
        words = f"{kind.upper()} of {SYMBOLS[field]}" if field in SYMBOLS else name.replace("_", " ")
        _logarithmic(axes, words)
        axes.set_xlabel("epoch", fontsize=_NORMAL)
    # a label may begin with "_" and have dollars, which mean something to matplotlib
    labels = [f"{number}  {label}" for number, (label, _) in enumerate(runs, 1)]
    legend = figure.legend(lines, labels, loc="lower left", fontsize=_SMALL, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _panels(
    count: int, size: tuple[float, float] = _PANEL, left: float = 0.75, above: float = 0.0, below: float = 0.0
) -> Figure:
    """Return a figure with some axes in rows of at most three.

    All margins are fixed, since matplotlib's own layouts take longer than all else that a report needs.

    Args:
        count: of axes.
        size: of each with its margins [inches].
        left: margin for labels at the left of each.
        above: room above all.
        below: room below all.
    """
    columns = min(count, 3)
    rows = -(-count // columns)
    width, height = columns * size[0], rows * size[1] + above + below
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    for number in range(count):
        row, column = divmod(number, columns)
        x, y = column * size[0] + left, below + (rows - 1 - row) * size[1] + _BELOW
        inner = size[0] - left - _MARGIN, size[1] - _BELOW - _MARGIN
        axes = figure.add_axes((x / width, y / height, inner[0] / width, inner[1] / height))
        axes.tick_params(labelsize=_SMALL, color=_GREY, width=0.6)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        for side, spine in axes.spines.items():
            spine.set_linewidth(0.6)
            spine.set_color(_GREY)
            spine.set_visible(side in ("left", "bottom"))
    return figure


class _Plain(LogFormatter):
    """Writes 0.006 and not 6e-03; which ticks have a label, matplotlib decides."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _logarithmic(axes: Axes, label: str) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(_Plain())
    axes.yaxis.set_minor_formatter(_Plain())
    axes.set_ylabel(label, fontsize=_NORMAL)
    axes.tick_params(which="both", labelsize=_SMALL, width=0.6, color=_GREY)


def _histogram(axes: Axes, values: Array, label: str, around_zero: bool = False) -> None:
    values = values[np.isfinite(values)]
    low, high = _ends(values)
    if around_zero:
        # a few outliers would hide the shape of all others
        high = float(np.quantile(abs(values), 0.998)) or 1.0 if len(values) else 1.0
        low, outside = -high, int((abs(values) > high).sum())
        axes.axvline(0, color=_GREY, lw=0.8)
        if outside:
            axes.text(0.98, 0.97, f"{outside} outside", transform=axes.transAxes, ha="right", va="top", fontsize=_SMALL)
    axes.hist(values, bins=min(60, max(10, int(len(values) ** 0.5))), range=(low, high), color=BLUE)
    axes.set_xlabel(label, fontsize=_NORMAL)
    axes.set_ylabel("count", fontsize=_NORMAL)


def _ends(values: Array) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.03 * (high - low) or max(1e-6, 0.03 * abs(high))
    return low - margin, high + margin


def _bars_of_elements(axes: Axes, Za: Array) -> None:
    elements, counts = np.unique(Za.astype(int), return_counts=True)
    axes.bar(range(len(elements)), counts, 0.6, color=BLUE)
    axes.set_xticks(range(len(elements)), [chemical_symbols[Z] for Z in elements])
    axes.set_xlabel("element", fontsize=_NORMAL)
    axes.set_ylabel("count", fontsize=_NORMAL)


def _charges_by_element(axes: Axes, Za: Array, Qa: Array, units: Units) -> None:
    low, high = _ends(Qa)
    for number, Z in enumerate(np.unique(Za.astype(int))):
        colour, dashes = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        counts, edges = np.histogram(Qa[Za == Z], 80, (low, high))
        axes.stairs(counts, edges, color=colour, ls=dashes, lw=1.2, label=chemical_symbols[Z])
    _logarithmic(axes, "count")
    # room for the legend
    axes.set_ylim(0.7, 20 * axes.get_ylim()[1])
    axes.set_xlabel(with_unit("atomic charge", "Qa", units), fontsize=_NORMAL)
    axes.legend(fontsize=_SMALL, frameon=False, ncols=2, handlelength=1.2)
