"""A trained model as a file for other programs: ``pyg-nnp export``."""

import argparse

from pyg_nnp.errors import ConfigError
from pyg_nnp.potential.checkpoint import own_copy
from pyg_nnp.runtime.logs import terminal_log, warnings_logged


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp export``."""
    try:
        from pyg_nnp.inference.engines.metatomic import export
    except ModuleNotFoundError as error:
        raise ConfigError(f"export needs {error.name}: pip install metatomic-torch.") from error
    with terminal_log(), warnings_logged():
        potential = own_copy(options.model, "cpu", options.dtype)
        export(potential, options.out, charge=options.charge, name=options.model.stem)
    print(f"{options.out}: a model of metatomic, in {str(potential.dtype)[6:]}, for total charge {options.charge:g}")
    return 0
