"""Energies, forces, charges and dipoles of structures: ``pyg-nnp predict``."""

import argparse

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from pyg_nnp.commands.options import device_of
from pyg_nnp.inference.predict import predict_file
from pyg_nnp.potential.checkpoint import load_potential
from pyg_nnp.runtime import processes
from pyg_nnp.runtime.data_path import DataPath
from pyg_nnp.runtime.logs import progress_bar, terminal_log


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp predict``."""
    # the number of structures is not known before all are read
    columns = TextColumn("{task.completed:.0f} structures"), BarColumn(bar_width=20), TimeElapsedColumn()
    with terminal_log() as console, progress_bar(console, *columns) as bar:
        task = bar.add_task("", total=None)
        potential = load_potential(options.model, device_of(options))
        structures, out, charge = DataPath.of(options.structures), options.out, options.charge
        count = predict_file(
            potential, structures, out, charge, lambda done: bar.update(task, completed=done), options.units
        )
    if processes.number() == 0:
        print(f"{options.out}: {count} structure{'' if count == 1 else 's'}.")
    return 0
