"""The command ``check``: the data of a configuration read, split and checked; nothing is trained."""

import argparse
import logging
from pathlib import Path

from torch_geometric import seed_everything

from pyg_nnp.config import Config, load_config
from pyg_nnp.potential.build import build_potential
from pyg_nnp.runtime.logs import final_error_logged, kept_warnings, run_log
from pyg_nnp.training.data_preparation import read_data
from pyg_nnp.training.run_setup import active_models, make_folder

log = logging.getLogger(__name__)


def check(config: Config, out: Path) -> int:
    """Read and split the data of a configuration, say what seems to be wrong, and return the number of warnings.

    Args:
        config: from :func:`pyg_nnp.load_config`.
        out: folder that gets the processed data and a log.

    Raises:
        ConfigError: something in the configuration is not right.
        DataError: something in the data is not right.
    """
    potentials = {name: build_potential(config, name) for name in active_models(config)}
    make_folder(config, out)
    with run_log(out / "logs"), final_error_logged(), kept_warnings() as warnings:
        log.info("Configuration %s, output in %s.", config.source, out.resolve())
        read_data(config, out, potentials)
        log.info("Warnings: %s.", len(warnings) or "none")
    return len(warnings)


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp check``; 1 after warnings."""
    config = load_config(options.config)
    seed_everything(config.Trainer.seed)
    return 1 if check(config, options.out) else 0
