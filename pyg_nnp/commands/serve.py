# mypy: allow-untyped-calls
"""Energies and forces for i-PI: ``pyg-nnp serve``."""

import argparse

from pyg_nnp.commands.options import device_of
from pyg_nnp.errors import ConfigError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.engines.ipi import answer
from pyg_nnp.inference.simulation.structure import read_structure
from pyg_nnp.runtime.logs import terminal_log, warnings_logged


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp serve``."""
    if options.host and options.socket:
        raise ConfigError("--host is for an INET socket, and --socket is one of this machine. Give one of them.")
    with terminal_log(), warnings_logged():
        calculator = PotentialCalculator(options.model, device=device_of(options), dtype=options.dtype)
        atoms = read_structure(options.structure, options.charge, calculator.potential)
        # the other program decides what moves
        atoms.set_constraint()
        atoms.calc = calculator
        host = options.host or "localhost"
        answer(atoms, host=host, port=options.port, socket=options.socket, wait=options.wait)
    return 0
