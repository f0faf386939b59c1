"""One page for several trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pyg_nnp.fields import COMPARED, FIELDS
from pyg_nnp.training.report import figures
from pyg_nnp.training.report.drawing import COLOURS, png
from pyg_nnp.training.report.history import History
from pyg_nnp.training.report.make import metric_rows
from pyg_nnp.training.report.page import COMPARISON, Picture, check_place, render, write_page
from pyg_nnp.units import OPTIONS, Units

# what the numbers of two runs must have in common to be compared
_COMPARABLE = ("Datahub.content and options", "Trainer.Splitter.")


@dataclass(frozen=True)
class Run:
    """A trained model.

    Attributes:
        label: its folder.
        history: of its training.
        metrics: what ``metrics.json`` says.
        settings: all that its result depends on, each value under its path.
    """

    label: str
    history: History
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any]


def compare(runs: Sequence[Run], page: Path) -> None:
    """Write a page that compares trained models.

    Args:
        runs: the models.
        page: where to.

    Raises:
        ConfigError: something else is there.
        OSError: it cannot be written.
    """
    check_place(page, COMPARISON)
    different = differences([run.settings for run in runs])
    html = render(
        COMPARISON,
        runs=runs,
        colours=[COLOURS[number % len(COLOURS)] for number in range(len(runs))],
        rows=_rows(runs),
        symbols={name: FIELDS[name].label for name in COMPARED},
        differences=different,
        comparable=not any(path.startswith(_COMPARABLE) for path in different),
        curves=Picture.of(png(figures.compared_curves([(run.label, run.history) for run in runs]))),
        made=datetime.now().strftime("%Y-%m-%d %H:%M"),
    )
    write_page(page, COMPARISON, html)


def differences(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return path -> the value in each of some settings, None where one has no such path, if they are not all equal."""
    paths = dict.fromkeys(path for of_run in settings for path in of_run)
    values = {path: [of_run.get(path) for of_run in settings] for path in paths}
    return {path: of_path for path, of_path in values.items() if any(value != of_path[0] for value in of_path)}


def _rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return a row of the table for each error: part, field, kind, unit, values of the runs, and the lowest of them."""
    tables = [metric_rows(run.metrics) for run in runs]
    places = dict.fromkeys(
        (part, name, kind) for part in ("validation", "test") for table in tables for name, kind in table
    )
    rows = []
    for part, name, kind in places:
        values = [table.get((name, kind), {}).get(part) for table in tables]
        known = [value for value in values if value is not None]
        if known:
            row = {"part": part, "field": name, "kind": kind, "unit": _unit(runs, name), "values": values}
            rows.append(row | {"lowest": min(known) if len(known) > 1 else None})
    return rows


def _unit(runs: Sequence[Run], name: str) -> str:
    """Return the unit of a field, if it is that of all runs."""
    names = {
        Units.of({option: run.settings.get(f"Modelhub.build_params.{option}") for option in OPTIONS}).names[
            FIELDS[name].unit
        ]
        for run in runs
    }
    return names.pop() if len(names) == 1 else "different units"
