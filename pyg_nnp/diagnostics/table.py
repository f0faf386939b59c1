"""The table of a data set: its frames and fields, and what checks have found."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING

from ase.data import chemical_symbols
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.data.labels import has_all_labels, has_labels
from pyg_nnp.data.summary import DatasetSummary
from pyg_nnp.diagnostics.finding import CheckResult
from pyg_nnp.fields import FIELDS, TARGETS

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset


def data_table(
    config: Config, dataset: "MoleculeDataset", parts: Mapping[str, Tensor], results: Sequence[CheckResult]
) -> str:
    """Return the table as text: frames, atoms, elements and parts, then a row for each field with what was found."""
    summary, units, sizes = dataset.summary, config.units.names, dataset.summary.sizes
    low, high = int(sizes.min()), int(sizes.max())
    per_frame = f"{low} in each frame" if low == high else f"{low} to {high} in a frame"
    frames_in = {part: len(frames) for part, frames in parts.items()}
    frames_in |= {"isolated atoms": len(dataset.info.isolated)} if dataset.info.isolated else {}
    counts = zip(summary.elements, summary.counts.sum(axis=0, dtype=int), strict=True)
    lines = [
        f"{len(sizes)} frames: " + ", ".join(f"{part} {number}" for part, number in frames_in.items()),
        f"{int(sizes.sum())} atoms, {per_frame}: " + ", ".join(f"{chemical_symbols[Z]} {count}" for Z, count in counts),
    ]
    table = Table("field", "", "in the file", "unit", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    is_partial = any(not has_all_labels(summary, name).all() for name in TARGETS)
    for heading in (*(["frames"] if is_partial else []), "minimum", "maximum", "mean"):
        table.add_column(heading, justify="right")
    table.add_column("checks")
    for name, numbers in summary.ranges.items():
        if name not in ("N", "Za"):
            found = [
                f"WARNING: {result.summary}" if result.findings else result.summary
                for result in results
                if result.field == name
            ]
            about = FIELDS[name].short_meaning, _source(name, dataset), units[FIELDS[name].unit]
            frames = [_number_of_frames(name, summary)] if is_partial else []
            table.add_row(name, *about, *frames, *(f"{number:.6g}" for number in numbers), "; ".join(found))
    text = StringIO()
    Console(file=text, width=150, color_system=None, markup=False, emoji=False, highlight=False).print(table)
    return "\n".join(lines + [line.rstrip() for line in text.getvalue().splitlines() if line.strip()])


def _source(name: str, dataset: "MoleculeDataset") -> str:
    """Return the name of a field in the file, or where it is from."""
    other = "no: where there is a cell" if name == "pbc" else "no: set to 0"
    other = f"by '{dataset.sources['group']}'" if name == "weight" and "group" in dataset.sources else other
    return dataset.sources.get(name, other)


def _number_of_frames(name: str, summary: DatasetSummary) -> str:
    """Return how many frames have a field, and how many of them only some of its numbers."""
    has = has_labels(summary, name)
    in_part = int((has & ~has_all_labels(summary, name)).sum())
    return f"{int(has.sum())}{f' ({in_part} in part)' if in_part else ''}"
