"""The training command: everything that happens between a configuration and a trained potential."""

import logging
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from rich.console import Console
from torch import Tensor

from pyg_nnp.build import build_potential
from pyg_nnp.checkpoint import DESCRIPTION, load_potential
from pyg_nnp.checks import (
    check_batch_size,
    check_cutoff,
    check_elements,
    check_prediction,
    check_references,
    check_units,
)
from pyg_nnp.config import Config, dump_config
from pyg_nnp.data import MoleculeDataset, reference_energies, split_dataset
from pyg_nnp.errors import ConfigError, UserError, did_you_mean
from pyg_nnp.files import write_durably, write_json
from pyg_nnp.logs import EpochProgress, run_log, versions
from pyg_nnp.metrics import Errors, evaluate, weighted_sum
from pyg_nnp.model import Potential
from pyg_nnp.stopwatch import UNTIMED, profiled
from pyg_nnp.training import HISTORY, Best, claimed, fit, large_batch

log = logging.getLogger(__name__)


def train(config: Config, out: Path, profile: bool = False) -> None:
    """Train every active model of a configuration.

    Args:
        config: from :func:`pyg_nnp.load_config`.
        out: folder that everything is written to.
        profile: log where the time of an epoch goes.

    Raises:
        ConfigError: something in the configuration is not right; all that can be known without data is checked first.
        DataError: something in the data is not right.
    """
    names = [name for name, model in config.Modelhub.internal_FFs.items() if model.active]
    # built once now so that a mistake in the last model does not show after the first was trained for days
    for name in names:
        build_potential(config, name)
        _check_not_trained(config, name, out)
    _make_folder(out)
    _check_stays_inside(config, out, names)
    with run_log(out / "logs") as console, _last_words():
        log.info("Configuration %s, output in %s.", config.source, out.resolve())
        log.debug("Versions: %s", versions())
        log.debug("The whole configuration:\n%s", dump_config(config))
        _save_config(config, out / "config.yaml")
        with _named(config.source):
            dataset = MoleculeDataset.from_config(config, out)
        log.info("Data set:\n%s", "\n".join(dataset.summary()))
        log.info("Batches are made in the training process, from data in memory; no loader processes are needed.")
        with _named(config.source):
            parts = split_dataset(config.Trainer.Splitter, len(dataset), dataset.hash, dataset.folder)
        log.info("Split: %s.", ", ".join(f"{part} {len(frames)}" for part, frames in parts.items()))
        _warn_of_parts(parts)
        _warn_of_elements(dataset, parts["training"])
        check_batch_size(config, parts)
        check_references(config, dataset)
        # all of them before the first is trained
        for name in names:
            _check_model(config, name, dataset)
        device = _device(config)
        for name in names:
            train_model(config, name, dataset, parts, device, out, console, profile)


def train_model(
    config: Config,
    name: str,
    dataset: MoleculeDataset,
    parts: Mapping[str, Tensor],
    device: torch.device,
    out: Path,
    console: Console,
    profile: bool = False,
) -> None:
    """Train one model and say how good it is on the test part."""
    model, trainer = config.Modelhub.internal_FFs[name], config.Trainer
    folder = out / config.folder_name(name)
    potential = build_potential(config, name)
    references = reference_energies(dataset, config.Datahub.transforms, parts["training"])
    potential.set_references(references.atomic_energies, references.shift)
    potential.spec["elements"] = dataset.elements
    potential.to(device)
    _warn_of_untrained(config, name, potential)
    count = sum(parameter.numel() for parameter in potential.parameters())
    log.info("%s: %s with %d parameters, %s, on %s.", name, model.architecture, count, trainer.dtype, device)
    progress = EpochProgress(console, name, trainer.max_epochs, -(-len(parts["training"]) // trainer.batch_size))
    timing = profiled(potential, name) if profile else nullcontext(UNTIMED)
    with claimed(folder), timing as stopwatch, progress.bar:
        best = fit(
            potential,
            dataset,
            parts,
            trainer,
            model.loss,
            config.Metrics,
            folder,
            progress.on_step,
            progress.on_epoch,
            stopwatch,
        )
    log.info("%s: the best epoch was %d; its potential is in %s.", name, best.epoch, folder / "best")
    _final_metrics(config, name, load_potential(folder / "best", device), best, dataset, parts, folder)


def _final_metrics(
    config: Config,
    name: str,
    potential: Potential,
    best: Best,
    dataset: MoleculeDataset,
    parts: Mapping[str, Tensor],
    folder: Path,
) -> None:
    """Evaluate the best potential on validation and test part, and write ``metrics.json``."""
    device = potential.energy_shift.device
    results: dict[str, Any] = {"best_epoch": best.epoch}
    for part in ("validation", "test"):
        if part in parts:
            size = large_batch(dataset, config.Trainer.batch_size)
            batches = (batch.to(device) for batch in dataset.batches(parts[part], size))
            errors = evaluate(potential, batches, config.Metrics)
            results[part] = errors | {"score": weighted_sum(errors, config.Metrics)}
            log.info("%s: %s part: %s", name, part, _in_words(errors))
    write_json(folder / "metrics.json", results)


def _in_words(errors: Errors) -> str:
    return ", ".join(f"{kind} of {field} {value:.6g}" for kind, of in errors.items() for field, value in of.items())


def _device(config: Config) -> torch.device:
    if config.Trainer.cuda and not torch.cuda.is_available():
        log.warning(
            "There is no CUDA device here, which Trainer.cuda asks for where there is one. Training on the CPU."
        )
    return torch.device("cuda" if config.Trainer.cuda and torch.cuda.is_available() else "cpu")


def _check_model(config: Config, name: str, dataset: MoleculeDataset) -> None:
    potential = build_potential(config, name)
    check_elements(config, name, potential, dataset)
    check_units(config, name, dataset)
    check_cutoff(config, name, potential, dataset)
    check_prediction(config, name, potential, dataset)


def _warn_of_elements(dataset: MoleculeDataset, training: Tensor) -> None:
    """Say which elements nothing is learned of."""
    missing = set(dataset.elements) - set(dataset[training].elements)
    if missing:
        names = ", ".join(chemical_symbols[Z] for Z in sorted(missing))
        log.warning("No frame of the training part has %s: predictions for molecules with it mean nothing.", names)


def _warn_of_untrained(config: Config, name: str, potential: Potential) -> None:
    """Say which predictions mean nothing, since no label was there to learn them from."""
    trained = {field for of in config.Modelhub.internal_FFs[name].loss.values() for field, w in of.items() if w > 0}
    untrained = [field for field in potential.outputs if field not in trained and field not in ("Ea", "Q")]
    if untrained:
        fields = " and ".join(untrained)
        log.warning("%s: %s is no part of the loss: what the potential predicts for it is not trained.", name, fields)


def _warn_of_parts(parts: Mapping[str, Tensor]) -> None:
    """Say what a missing validation part means, and which names may be misspelt."""
    roles = ("validation", "test")
    for part in parts:
        near = did_you_mean(part, [role for role in roles if role not in parts])
        if near and part not in (*roles, "training"):
            log.warning("Part '%s' has no role in training.%s", part, near)
    if "validation" not in parts:
        log.warning("No part is called 'validation': nothing stops early, and the last potential is the best.")


@contextmanager
def _named(source: str) -> Iterator[None]:
    """Put the name of the configuration file before messages about it."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


@contextmanager
def _last_words() -> Iterator[None]:
    """Let the log file end with why a run did."""
    try:
        yield
    except UserError as error:
        log.debug("Stopped: %s: %s", type(error).__name__, error)
        raise
    except KeyboardInterrupt:
        log.debug("Stopped: interrupted.")
        raise
    except BaseException:
        log.debug("Stopped by an error outside of the configuration and the data:", exc_info=True)
        raise


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"-o {out}: cannot be made: {error.strerror}. Name a folder that can be written to."
        ) from error
    if not os.access(out, os.W_OK):
        raise ConfigError(f"-o {out}: cannot be written to. Name another output folder.")


def _check_stays_inside(config: Config, out: Path, names: Iterable[str]) -> None:
    """Refuse links out of the output folder: what is written would land elsewhere, perhaps over something."""
    folders = [out / config.folder_name(name) for name in names]
    places = [*folders, *(folder / part for folder in folders for part in ("best", "last"))]
    for place in (*places, out / "logs", *out.glob("processed_dataset_*")):
        target = Path(os.path.realpath(place))
        if not target.is_relative_to(os.path.realpath(out)):
            raise ConfigError(f"{place}: leads to {target}, outside of {out}. Name that folder with -o instead.")


def _check_not_trained(config: Config, name: str, out: Path) -> None:
    """Refuse to write over a potential that somebody may have waited days for."""
    folder = out / config.folder_name(name)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: this is a file, where the folder of {name} has to be. Move it away.")
    for mark in (HISTORY, f"best/{DESCRIPTION}", f"last/{DESCRIPTION}"):
        if (folder / mark).exists():
            raise ConfigError(
                f"{config.source}: Modelhub.{name}: {folder} holds a trained potential already. "
                "Give another output folder with -o, set a suffix for the model, or move that folder away."
            )


def _save_config(config: Config, path: Path) -> None:
    """Write the formatted configuration; a different one that is there already is kept under another name."""
    text = dump_config(config).encode()
    if path.exists():
        if path.read_bytes() == text:
            return
        number = next(n for n in range(1, 10**6) if not path.with_name(f"config.{n}.yaml").exists())
        kept = path.rename(path.with_name(f"config.{number}.yaml"))
        log.info("Kept the config.yaml that was there as %s.", kept.name)
    write_durably(path, text)


def seed_everything(seed: int) -> None:
    """Seed python's, numpy's and PyTorch's global generators, which layers of users may draw from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
