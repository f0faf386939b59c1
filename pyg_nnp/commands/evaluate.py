"""Errors of a trained potential on a data file: ``pyg-nnp evaluate``."""

import argparse
import logging
from pathlib import Path

from rich.console import Console

from pyg_nnp.commands.options import device_of, mapping_of
from pyg_nnp.errors import ConfigError
from pyg_nnp.inference.evaluate import csv_of, evaluate_file, json_of, table_of, trained_with
from pyg_nnp.potential.checkpoint import load_potential
from pyg_nnp.runtime.files import write_durably, write_json
from pyg_nnp.runtime.logs import terminal_log


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp evaluate``."""
    changes = {} if options.negative_gradient is None else {"negative_gradient": options.negative_gradient}
    # how the file is read is told in training
    with terminal_log(level=logging.WARNING):
        potential = load_potential(options.model, device_of(options))
        if options.data is None and options.part is None:
            raise ConfigError("evaluate: on which data? Name a file, or a part of the training data: --part test.")
        data = options.data or Path(trained_with(potential)["Datahub"]["data_path"])
        rows = evaluate_file(potential, data, mapping_of(options.map), changes, options.part)
    Console().print(table_of(rows, potential.units.names))
    if options.json:
        write_json(options.json, json_of(rows))
    if options.csv:
        write_durably(options.csv, [csv_of(rows)])
    return 0
