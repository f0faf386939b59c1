"""What the plots of a report have in common: colours, sizes, axes, histograms.

Only objects of matplotlib are used, and no state that it shares with the plots of others.
"""

from collections.abc import Iterator, Mapping
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from pyg_nnp.fields import FIELDS
from pyg_nnp.training.report.types import Array

# the colours of Okabe and Ito (Color Universal Design, 2008): people with any kind of colour vision tell them apart
BLUE, RED, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, BLACK = "#56B4E9", "#CC79A7", "#000000"
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES = ("-", "--", ":", "-.")
GREY = "#595959"
SMALL, NORMAL = 7.5, 8.5  # points
_DPI = 160
# inches
_PANEL, _BELOW, _MARGIN = (2.7, 2.1), 0.48, 0.2

# kind of unit -> name
UnitNames = Mapping[str, str]


def with_unit(text: str, name: str, units: UnitNames) -> str:
    """Return a label with the unit of a field."""
    unit = units[FIELDS[name].unit]
    return f"{text} ({unit})" if unit else text


def panels(
    count: int, size: tuple[float, float] = _PANEL, left: float = 0.75, above: float = 0.0, below: float = 0.0
) -> Figure:
    """Return a figure with ``count`` axes in rows of at most three, four in two rows of two; all sizes are in inches.

    All margins are fixed, since matplotlib's own layouts take longer than all else that a report needs.

    Args:
        count: of axes.
        size: of each with its margins.
        left: margin for labels at the left of each.
        above: room above all.
        below: room below all.
    """
    columns = 2 if count == 4 else min(count, 3)
    rows = -(-count // columns)
    width, height = columns * size[0], rows * size[1] + above + below
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    for number in range(count):
        row, column = divmod(number, columns)
        x, y = column * size[0] + left, below + (rows - 1 - row) * size[1] + _BELOW
        inner = size[0] - left - _MARGIN, size[1] - _BELOW - _MARGIN
        axes = figure.add_axes((x / width, y / height, inner[0] / width, inner[1] / height))
        axes.tick_params(labelsize=SMALL, color=GREY, width=0.6)
        axes.xaxis.set_major_locator(few_ticks())
        for side, spine in axes.spines.items():
            spine.set_linewidth(0.6)
            spine.set_color(GREY)
            spine.set_visible(side in ("left", "bottom"))
    return figure


def few_ticks() -> MaxNLocator:
    """Return a locator of at most six ticks at round numbers."""
    return MaxNLocator(5, steps=(1, 2, 2.5, 5, 10))


class _Plain(LogFormatter):
    """Writes 0.006 and not 6e-03; which ticks have a label, matplotlib decides."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def logarithmic(axes: Axes, label: str) -> None:
    """Give axes a logarithmic y, with a label."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(_Plain())
    axes.yaxis.set_minor_formatter(_Plain())
    axes.set_ylabel(label, fontsize=NORMAL)
    axes.tick_params(which="both", labelsize=SMALL, width=0.6, color=GREY)


def histogram(axes: Axes, values: Array, label: str, around_zero: bool = False) -> None:
    """Draw a histogram of the finite ones of some numbers; ``around_zero`` leaves out the outermost 0.2 percent."""
    values = values[np.isfinite(values)]
    low, high = ends_of(values)
    if around_zero:
        # a few outliers would hide the shape of all others
        high = float(np.quantile(abs(values), 0.998)) or 1.0 if len(values) else 1.0
        low, outside = -high, int((abs(values) > high).sum())
        axes.axvline(0, color=GREY, lw=0.8)
        if outside:
            text = f"{outside} outside,\nup to {abs(values).max():.2g}"
            axes.text(0.98, 0.97, text, transform=axes.transAxes, ha="right", va="top", fontsize=SMALL)
    axes.hist(values, bins=min(60, max(10, int(len(values) ** 0.5))), range=(low, high), color=BLUE)
    axes.set_xlabel(label, fontsize=NORMAL)
    axes.set_ylabel("count", fontsize=NORMAL)


def styles() -> Iterator[tuple[str, str]]:
    """Yield colour and dashes of elements in their order."""
    return cycle((colour, dashes) for dashes in DASHES for colour in COLOURS)


def ends_of(values: Array) -> tuple[float, float]:
    """Return where an axis of some numbers begins and ends."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.03 * (high - low) or max(1e-6, 0.03 * abs(high))
    return low - margin, high + margin
