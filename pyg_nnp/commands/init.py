"""A configuration to begin with, for a data file: ``pyg-nnp init``."""

import argparse

from pyg_nnp.commands.options import mapping_of
from pyg_nnp.diagnostics.first_config import first_config
from pyg_nnp.runtime.files import write_durably


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp init``."""
    text, guesses = first_config(options.data, mapping_of(options.map))
    write_durably(options.out, [text.encode()])
    print(f"{options.data} seems to have:", *guesses, sep="\n  ")
    print(f"{options.out}: look at what is marked with CHECK, then: pyg-nnp check {options.out}")
    return 0
