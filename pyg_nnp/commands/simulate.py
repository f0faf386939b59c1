"""Simulations with ASE: ``pyg-nnp simulate``."""

import argparse

from pyg_nnp.inference.simulation.run import simulate


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp simulate``."""
    return 0 if simulate(options.config, options.out, options.resume) else 1
