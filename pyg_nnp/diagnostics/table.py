"""The table of a data set that a run begins with."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING

from ase.data import chemical_symbols
from rich import box
from rich.console import Console
from rich.table import Table

from pyg_nnp.diagnostics.finding import CheckResult
from pyg_nnp.fields import FIELDS

if TYPE_CHECKING:
    from torch import Tensor

    from pyg_nnp.data.summary import DatasetSummary

_WIDTH = 150


def summary_table(
    summary: "DatasetSummary",
    sources: Mapping[str, str],
    parts: "Mapping[str, Tensor]",
    results: Sequence[CheckResult],
    units: Mapping[str, str],
) -> str:
    """Return the table as text: frames, atoms, elements and parts, then a row for each field with what was found.

    Args:
        summary: of the data set.
        sources: field -> name in the file.
        parts: the frames of each part.
        results: of the checks of the fields.
        units: kind of unit -> name, as the configuration says.
    """
    sizes = summary.sizes
    low, high = int(sizes.min()), int(sizes.max())
    per_frame = f"{low} in each frame" if low == high else f"{low} to {high} in a frame"
    counts = zip(summary.elements, summary.counts.sum(axis=0, dtype=int), strict=True)
    lines = [
        f"{len(sizes)} frames: " + ", ".join(f"{part} {len(frames)}" for part, frames in parts.items()),
        f"{int(sizes.sum())} atoms, {per_frame}: " + ", ".join(f"{chemical_symbols[Z]} {count}" for Z, count in counts),
    ]
    table = Table("field", "", "in the file", "unit", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("minimum", "maximum", "mean"):
        table.add_column(heading, justify="right")
    table.add_column("checks")
    for name, numbers in summary.ranges.items():
        if name not in ("N", "Za"):
            found = "; ".join(_marked(result) for result in results if result.field == name)
            meaning, source = FIELDS[name].short_meaning, sources.get(name, "no: set to 0")
            table.add_row(
                name, meaning, source, units[FIELDS[name].unit], *(f"{number:.6g}" for number in numbers), found
            )
    text = StringIO()
    Console(file=text, width=_WIDTH, color_system=None, markup=False, emoji=False, highlight=False).print(table)
    return "\n".join(lines + [line.rstrip() for line in text.getvalue().splitlines() if line.strip()])


def _marked(result: CheckResult) -> str:
    return f"WARNING: {result.summary}" if result.findings else result.summary
