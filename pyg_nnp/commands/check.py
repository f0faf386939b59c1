"""What comes before training: data read, split and judged, and the command that does only this."""

import argparse
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ase.data import chemical_symbols
from torch import Tensor

from pyg_nnp.config import Config, load_config
from pyg_nnp.data import MoleculeDataset, split_dataset
from pyg_nnp.diagnostics import examine
from pyg_nnp.diagnostics.compatibility import (
    check_batch_size,
    check_cutoff,
    check_elements,
    check_energies,
    check_lengths,
    check_references,
)
from pyg_nnp.errors import ConfigError, did_you_mean
from pyg_nnp.potential.build import build_potential
from pyg_nnp.runtime.logs import ROOT, final_error_logged, run_log
from pyg_nnp.runtime.seeds import seed_everything
from pyg_nnp.training.tensorboard import FOLDER

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
    for name in active_models(config):
        build_potential(config, name)
    make_folder(config, out)
    with run_log(out / "logs"), final_error_logged():
        log.info("Configuration %s, output in %s.", config.source, out.resolve())
        warnings = _Collector()
        ROOT.addHandler(warnings)
        try:
            prepare(config, out)
        finally:
            ROOT.removeHandler(warnings)
        log.info("Warnings: %s.", len(warnings.found) or "none")
    return len(warnings.found)


class _Collector(logging.Handler):
    """Collects warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


def prepare(config: Config, out: Path) -> tuple[MoleculeDataset, dict[str, Tensor]]:
    """Read the data, split them, and say what seems to be wrong with them.

    Args:
        config: the configuration.
        out: folder that gets the processed data.

    Returns:
        The data set, and the frames of each part.

    Raises:
        ConfigError: something in the configuration is not right.
        DataError: something in the data is not right.
    """
    with _named(config.source):
        dataset = MoleculeDataset.from_config(config, out)
        parts = split_dataset(config.Trainer.Splitter, len(dataset), dataset.hash, dataset.folder)
    # before forces are judged, which with positions in a wrong unit look wrong themselves
    for name in active_models(config):
        check_lengths(config, name, dataset)
    table, warnings = examine(config, dataset, parts)
    log.info("Data set: %s", table)
    for warning in warnings:
        log.warning("%s", warning)
    _warn_of_parts(parts)
    _warn_of_elements(dataset, parts["training"])
    check_batch_size(config, parts)
    check_references(config, dataset)
    for name in active_models(config):
        _check_model(config, name, dataset)
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


def _check_model(config: Config, name: str, dataset: MoleculeDataset) -> None:
    potential = build_potential(config, name)
    check_elements(config, name, potential, dataset)
    check_energies(config, name, dataset)
    check_cutoff(config, name, potential, dataset)


def _warn_of_elements(dataset: MoleculeDataset, training: Tensor) -> None:
    """Say which elements nothing is learned of."""
    missing = set(dataset.elements) - set(dataset[training].elements)
    if missing:
        names = ", ".join(chemical_symbols[Z] for Z in sorted(missing))
        log.warning("No frame of the training part has %s: predictions for molecules with it mean nothing.", names)


def _warn_of_parts(parts: Mapping[str, Tensor]) -> None:
    """Say what a missing validation part means, and which names may be misspelt."""
    roles = ("validation", "test")
    for part in parts:
        near = did_you_mean(part, [role for role in roles if role not in parts])
        if near and part not in (*roles, "training"):
            log.warning("Part '%s' has no role in training.%s", part, near)
    if "validation" not in parts:
        log.warning("No part is called 'validation': nothing stops early, and the last potential is the best.")


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp check``; 1 after warnings."""
    config = load_config(options.config)
    seed_everything(config.Trainer.seed)
    return 1 if check(config, options.out) else 0
