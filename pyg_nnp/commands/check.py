"""What comes before training: data read, split and checked, and the command that does only this."""

import argparse
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor
from torch_geometric import seed_everything

from pyg_nnp.config import Config, load_config
from pyg_nnp.data import MoleculeDataset, split_dataset
from pyg_nnp.diagnostics.checks import run_checks
from pyg_nnp.errors import ConfigError
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.logs import final_error_logged, kept_warnings, run_log
from pyg_nnp.training.callbacks.tensorboard import FOLDER

log = logging.getLogger(__name__)


def check(config: Config, out: Path) -> int:
    """Read and split the data of a configuration and say what seems to be wrong; nothing is trained.

    Args:
        config: from :func:`pyg_nnp.load_config`.
        out: folder that gets the processed data and a log.

    Returns:
        How many warnings there were.

    Raises:
        ConfigError: something in the configuration is not right.
        DataError: something in the data is not right.
    """
    potentials = {name: build_potential(config, name) for name in active_models(config)}
    make_folder(config, out)
    with run_log(out / "logs"), final_error_logged(), kept_warnings() as warnings:
        log.info("Configuration %s, output in %s.", config.source, out.resolve())
        prepare(config, out, potentials)
        log.info("Warnings: %s.", len(warnings) or "none")
    return len(warnings)


def prepare(
    config: Config, out: Path, potentials: Mapping[str, Potential]
) -> tuple[MoleculeDataset, dict[str, Tensor]]:
    """Read the data, split them, and say what seems to be wrong with them.

    Args:
        config: the configuration.
        out: folder that gets the processed data.
        potentials: name -> potential, of the models that are to be trained.

    Returns:
        The data set, and the frames of each part.

    Raises:
        ConfigError: something in the configuration is not right.
        DataError: something in the data is not right.
    """
    with _named(config.source):
        dataset = MoleculeDataset.from_config(config, out)
        parts = split_dataset(config.Trainer.Splitter, len(dataset), dataset.hash, dataset.folder)
    run_checks(config, dataset, parts, potentials)
    return dataset, parts


def active_models(config: Config) -> list[str]:
    """Return the names of the models that are to be trained."""
    return [name for name, model in config.Modelhub.internal_FFs.items() if model.active]


def make_folder(config: Config, out: Path) -> None:
    """Make the output folder.

    Raises:
        ConfigError: it cannot be made or written to, or something in it is a link out of it, so that what is written
            would land elsewhere, perhaps over something.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"-o {out}: cannot be made: {error.strerror}. Name a folder that can be written to."
        ) from error
    if not os.access(out, os.W_OK):
        raise ConfigError(f"-o {out}: cannot be written to. Name another output folder.")
    models = [out / config.folder_name(name) for name in active_models(config)]
    for place in (*models, out / "logs", out / FOLDER, *out.glob("processed_dataset_*")):
        target = Path(os.path.realpath(place))
        if not target.is_relative_to(os.path.realpath(out)):
            raise ConfigError(f"{place}: leads to {target}, outside of {out}. Name that folder with -o instead.")


@contextmanager
def _named(source: str) -> Iterator[None]:
    """Put the name of the configuration file before messages about it."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp check``; 1 after warnings."""
    config = load_config(options.config)
    seed_everything(config.Trainer.seed)
    return 1 if check(config, options.out) else 0
