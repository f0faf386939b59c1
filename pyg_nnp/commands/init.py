"""A configuration to begin with, for a data file: ``pyg-nnp init``."""

import argparse
import math

from pyg_nnp.commands.options import mapping_of
from pyg_nnp.config.recipes import DEFAULT, recipe_of
from pyg_nnp.diagnostics.first_config import first_config
from pyg_nnp.errors import ConfigError
from pyg_nnp.runtime.data_path import DataPath
from pyg_nnp.runtime.files import write_durably


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp init``."""
    architecture = options.architecture or DEFAULT
    recipe = recipe_of(architecture)
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        raise ConfigError(f"--minutes {options.minutes:g}: expects a number of minutes greater than 0.")
    minutes = options.minutes or recipe.minutes
    data = DataPath.of(options.data)
    text, guesses = first_config(data, mapping_of(options.map), architecture, minutes)
    write_durably(options.out, [text.encode()])
    print(f"{data} seems to have:", *guesses, sep="\n  ")
    length = "100 epochs (max_epochs)"
    if minutes is not None:
        length = f"{minutes:g} {'minute' if minutes == 1 else 'minutes'} by the clock (max_time)"
    print(f"{options.out}: {architecture}, to be trained for {length}; more, as by --minutes, gives less error")
    print(f"{options.out}: look at what is marked with CHECK, then: pyg-nnp check {options.out}")
    return 0
