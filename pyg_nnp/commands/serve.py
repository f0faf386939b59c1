# mypy: allow-untyped-calls
"""Energies and forces for i-PI: ``pyg-nnp serve``."""

import argparse

import torch
from ase import Atoms

from pyg_nnp.commands.options import device_of
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.inference.calculator import PotentialCalculator
from pyg_nnp.inference.engines.ipi import answer
from pyg_nnp.inference.simulation.structure import read_structure
from pyg_nnp.potential.checkpoint import load_potential
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.logs import terminal_log, warnings_logged


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp serve``."""
    if options.host and options.socket:
        raise ConfigError("--host is for an INET socket, and --socket is one of this machine. Give one of them.")
    with terminal_log(), warnings_logged():
        potential = load_potential(options.model)
        atoms = read_structure(options.structure, options.charge, potential)
        _refuse(potential, atoms)
        # the other program decides what moves
        atoms.set_constraint()
        atoms.calc = PotentialCalculator(potential, device=device_of(options), dtype=options.dtype)
        host = options.host or "localhost"
        answer(atoms, host=host, port=options.port, socket=options.socket, wait=options.wait)
    return 0


def _refuse(potential: Potential, atoms: Atoms) -> None:
    """Refuse what the potential cannot be for, before a server is kept waiting."""
    potential.domain.refuse_unseen_elements(torch.tensor(atoms.numbers))
    if atoms.pbc.any() and potential.not_for_cells:
        raise DataError(f"the cell is periodic, but {potential.not_for_cells}.")
