"""Errors of a trained potential on a data file: ``pyg-nnp evaluate``."""

import argparse
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple

from rich import box
from rich.console import Console
from rich.table import Table

from pyg_nnp.commands.options import device_of, mapping_of
from pyg_nnp.errors import ConfigError
from pyg_nnp.fields import FIELDS
from pyg_nnp.inference.evaluate import evaluate_file
from pyg_nnp.inference.extrapolation import training_configuration
from pyg_nnp.potential.checkpoint import load_potential
from pyg_nnp.runtime import processes
from pyg_nnp.runtime.files import write_durably, write_json
from pyg_nnp.runtime.logs import NOTICE, terminal_log
from pyg_nnp.training.metrics import ErrorRow


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp evaluate``."""
    changes = {} if options.negative_gradient is None else {"negative_gradient": options.negative_gradient}
    # training has said already how the file is read
    with terminal_log(level=NOTICE):
        potential = load_potential(options.model, device_of(options))
        if not options.data and options.part is None:
            raise ConfigError("evaluate: on which data? Name a file, or a part of the training data: --part test.")
        data = options.data or training_configuration(potential)["Datahub"]["data_path"]
        rows = evaluate_file(potential, data, mapping_of(options.map), changes, options.part, options.units)
    if processes.number() > 0:
        return 0
    # as wide as its numbers, also in a pipe
    Console(width=150).print(_table(rows, potential.units.names))
    if options.json:
        write_json(options.json, _json(rows))
    if options.csv:
        write_durably(options.csv, [_csv(rows)])
    return 0


def _table(rows: Sequence[ErrorRow], units: Mapping[str, str]) -> Table:
    """Return the errors as a table; ``units`` are names by kind of unit."""
    note = "Errors of vectors are those of their components."
    if any(row.field == "Q" for row in rows):
        note += "\nQ: the sum of the charges before ChargeConservation corrects them."
    table = Table(box=box.SIMPLE_HEAD, caption=note, caption_justify="left")
    for heading in ("field", "of", "count", "MAE", "RMSE", "maximum", "unit"):
        table.add_column(heading, justify="left" if heading in ("field", "of", "unit") else "right")
    for row in rows:
        name, of, count, *errors = astuple(row)
        numbers = [str(count), *(f"{error:.6g}" for error in errors)]
        table.add_row(name, of, *numbers, units[FIELDS[name].unit], end_section=row is rows[-1])
    return table


def _json(rows: Sequence[ErrorRow]) -> dict[str, dict[str, dict[str, float]]]:
    """Return field -> atoms or molecules -> kind of error -> value."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        found.setdefault(row.field, {})[row.of] = {key: getattr(row, key) for key in ("count", "mae", "rmse", "max")}
    return found


def _csv(rows: Sequence[ErrorRow]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(ErrorRow.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, rows))
    return text.getvalue().encode()
