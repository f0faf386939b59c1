"""The training command: everything that happens between a configuration and a trained potential."""

import argparse
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from pyg_nnp.commands.check import active_models, make_folder, prepare
from pyg_nnp.config import Config, dump_config, load_config
from pyg_nnp.data import MoleculeDataset, reference_energies
from pyg_nnp.diagnostics.model import check_prediction
from pyg_nnp.errors import ConfigError, DataError
from pyg_nnp.fields import FIELDS
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.checkpoint import BEST, LAST, load_potential, read_saved, start_from
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.files import finite, write_durably, write_json
from pyg_nnp.runtime.logs import final_error_logged, run_log, versions
from pyg_nnp.runtime.seeds import seed_everything
from pyg_nnp.training.domain import training_domain
from pyg_nnp.training.fit import HISTORY, Epoch, claimed, evaluate_frames, fit
from pyg_nnp.training.metrics import Errors, weighted_sum
from pyg_nnp.training.profile import UNTIMED, profiled
from pyg_nnp.training.progress import EpochProgress
from pyg_nnp.training.state import Best, refuse_changes
from pyg_nnp.training.tensorboard import FOLDER, board, check_tensorboard

log = logging.getLogger(__name__)


def train(config: Config, out: Path, profile: bool = False, resume: bool = False) -> None:
    """Train every active model of a configuration.

    Args:
        config: from :func:`pyg_nnp.load_config`.
        out: folder that everything is written to.
        profile: log where the time of an epoch goes.
        resume: go on with trainings that were stopped, as with ``Trainer.resume``.

    Raises:
        ConfigError: something in the configuration is not right; all that can be known without data is checked first.
        DataError: something in the data is not right.
    """
    as_given, config = config, config.model_copy(deep=True)
    config.Trainer.resume = config.Trainer.resume or resume
    names = active_models(config)
    check_tensorboard(config)
    # built once now so that a mistake in the last model does not show after the first was trained for days
    potentials: dict[str, Potential] = {}
    for name in names:
        potentials[name] = _begin(config, name, out)
        _check_not_trained(config, name, out)
    make_folder(config, out)
    with run_log(out / "logs") as console, final_error_logged():
        log.info("Configuration %s, output in %s.", config.source, out.resolve())
        log.debug("Versions: %s", versions())
        log.debug("The whole configuration:\n%s", dump_config(config))
        dataset, parts = prepare(config, out, potentials)
        # all of them before the first is trained
        for name in names:
            check_prediction(config, name, potentials[name], dataset)
            _check_goes_on(config, name, dataset, out)
        # that of a training that is there stays as long as this one may be refused
        _save_config(as_given, out / "config.yaml")
        device = _device(config)
        for name in names:
            train_model(config, name, dataset, parts, device, out, console, profile)
            if config.Trainer.report:
                _report(config, name, dataset, parts, device, out)


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
    potential = _begin(config, name, out)
    references = reference_energies(dataset, config.Datahub.transforms, parts["training"])
    potential.set_references(references.atomic_energies, references.shift)
    potential.domain = training_domain(dataset, parts["training"])
    potential.spec["config"] = _own_config(config, name)
    potential.to(device)
    potential.spec["untrained"] = _untrained(config, name, potential)
    count = sum(parameter.numel() for parameter in potential.parameters())
    log.info("%s: %s with %d parameters, %s, on %s.", name, model.architecture, count, trainer.dtype, device)
    if not console.is_terminal:
        log.info("%s: epoch by epoch: %s.", name, folder / HISTORY)
    progress = EpochProgress(console, name, trainer.max_epochs, -(-len(parts["training"]) // trainer.batch_size))
    timing = profiled(potential, name) if profile else nullcontext(UNTIMED)
    logged = board(out / FOLDER / folder.name) if trainer.tensorboard else nullcontext(lambda epoch: None)
    with claimed(folder), timing as stopwatch, progress.bar, logged as add_epoch:

        def on_epoch(epoch: Epoch, best: Best) -> None:
            progress.on_epoch(epoch, best)
            add_epoch(epoch)

        best = fit(
            potential,
            dataset,
            parts,
            trainer,
            model.loss,
            config.Metrics,
            folder,
            progress.on_step,
            on_epoch,
            stopwatch,
            protocol_of(config, name, dataset),
            config.source,
        )
        log.info("%s: the best epoch was %d; its potential is %s.", name, best.epoch, folder / BEST)
        _final_metrics(config, name, load_potential(folder, device), best, dataset, parts, folder)


def _begin(config: Config, name: str, out: Path) -> Potential:
    """Build a potential, with the parameters of a trained one where the configuration names it."""
    potential = build_potential(config, name)
    pretrained = config.Modelhub.internal_FFs[name].pretrained
    # what a training goes on with has its own parameters, and the other model may be gone by then
    goes_on = config.Trainer.resume and (out / config.folder_name(name) / LAST).exists()
    if pretrained is not None and not goes_on:
        try:
            taken, left = start_from(potential, pretrained)
        except DataError as error:
            raise ConfigError(f"{config.source}: Modelhub.{name}.pretrained: {error}") from error
        log.info("%s: parameters taken from %s: %s.", name, pretrained, ", ".join(taken))
        rest = ", ".join(left) or "none"
        log.info("%s: parameters not taken, since there are none of these shapes: %s.", name, rest)
    return potential


def _own_config(config: Config, name: str) -> dict[str, Any]:
    """Return the configuration of one model, which is saved with it; how it was begun does not belong to it."""
    document = config.model_dump(mode="json")
    document["Modelhub"]["internal_FFs"] = {name: document["Modelhub"]["internal_FFs"][name]}
    del document["Trainer"]["resume"]
    return document


def protocol_of(config: Config, name: str, dataset: MoleculeDataset) -> dict[str, Any]:
    """Return all of configuration and data that the result of a training depends on, as nested JSON-like dicts."""
    document = config.model_dump(mode="json")
    model, trainer = document["Modelhub"]["internal_FFs"][name], document["Trainer"]
    for key in ("active", "suffix"):
        del model[key]
    for key in ("cuda", "num_workers", "report", "resume", "tensorboard"):
        del trainer[key]
    for key in ("save", "preload"):
        del trainer["Splitter"][key]
    kept = {"Modelhub": {name: model}, "Trainer": trainer, "Metrics": document["Metrics"]}
    transforms = document["Datahub"]["transforms"]
    # the hash covers content, mapping and options of the data; normalization is done after it
    kept["Datahub"] = {"transforms": transforms, "content and options": dataset.hash}
    result: dict[str, Any] = finite(kept)
    return result


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
    results: dict[str, Any] = {"best_epoch": best.epoch}
    units = potential.units.names
    for part in ("validation", "test"):
        if part in parts:
            errors = evaluate_frames(potential, dataset, parts[part], config.Trainer.batch_size, config.Metrics)
            results[part] = errors | {"score": weighted_sum(errors, config.Metrics)}
            for kind in errors:
                log.info("%s: %s part: %s: %s", name, part, kind.upper(), _in_words(errors, kind, units))
    write_json(folder / "metrics.json", results)


def _report(
    config: Config,
    name: str,
    dataset: MoleculeDataset,
    parts: Mapping[str, Tensor],
    device: torch.device,
    out: Path,
) -> None:
    """Make the report of a model; the training is over and saved, whatever happens here."""
    try:
        # it takes matplotlib, which a training without report does not need
        from pyg_nnp.training.report.make import make_report

        log.info("%s: the report is %s.", name, make_report(config, name, dataset, parts, out, device))
    except Exception as error:
        warn_of_no_report(name, out, error)


def warn_of_no_report(name: str, out: Path, error: Exception) -> None:
    """Say why there is no report."""
    reason = f"{type(error).__name__}: {error}"
    log.warning("%s: no report could be made (%s). Try again with: pyg-nnp report %s", name, reason, out)
    log.debug("It ended here:", exc_info=error)


def _in_words(errors: Errors, kind: str, units: Mapping[str, str]) -> str:
    words = []
    for field, value in errors[kind].items():
        unit = units[FIELDS[field].unit]
        words.append(f"{field} {value:.4g} {f'({unit})²' if kind == 'mse' and unit else unit}".rstrip())
    return ", ".join(words)


def _device(config: Config) -> torch.device:
    if "cuda" in config.Trainer.model_fields_set and config.Trainer.cuda and not torch.cuda.is_available():
        log.warning(
            "There is no CUDA device here, which Trainer.cuda asks for where there is one. Training on the CPU."
        )
    return torch.device("cuda" if config.Trainer.cuda and torch.cuda.is_available() else "cpu")


def _untrained(config: Config, name: str, potential: Potential) -> list[str]:
    """Return the predictions that nothing teaches, which the saved potential leaves out, and say so.

    Forces say something of energies and energies of forces, dipoles of charges and charges of dipoles.
    """
    trained = {field for of in config.Modelhub.internal_FFs[name].loss.values() for field, w in of.items() if w > 0}
    shown = {field for of in config.Metrics.values() for field in of}
    left_out: list[str] = []
    for together in (("E", "Fa"), ("Qa", "M2")):
        predicted = [field for field in together if field in potential.outputs]
        if trained.isdisjoint(together):
            left_out += [field for field in predicted if field not in shown]
        unsure = [field for field in predicted if field not in trained and field not in left_out]
        if unsure:
            fields = " and ".join(unsure)
            log.warning(
                "%s: %s is no part of the loss: what the potential predicts for it is not trained.", name, fields
            )
    if "Qa" in left_out and "Q" not in trained | shown:
        left_out.append("Q")
    if left_out:
        log.info(
            "%s: %s will not be predicted: its layers could, but the loss has nothing to learn it from.",
            name,
            ", ".join(left_out),
        )
    return left_out


def _check_not_trained(config: Config, name: str, out: Path) -> None:
    """Refuse to write over a potential that somebody may have waited days for."""
    folder = out / config.folder_name(name)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: this is a file, where the folder of {name} has to be. Move it away.")
    if not config.Trainer.resume and any((folder / mark).exists() for mark in (HISTORY, BEST, LAST)):
        raise ConfigError(
            f"{config.source}: Modelhub.{name}: {folder} holds a trained potential already. Give another output folder "
            "with -o, set a suffix for the model, or move that folder away. To go on with a training that was stopped: "
            "--resume."
        )


def _check_goes_on(config: Config, name: str, dataset: MoleculeDataset, out: Path) -> None:
    """Refuse to go on with another training than the one that was stopped."""
    last = out / config.folder_name(name) / LAST
    if config.Trainer.resume and last.exists():
        saved = read_saved(last)[0].get("training", {}).get("protocol")
        if saved is not None:
            refuse_changes(saved, protocol_of(config, name, dataset), last, config.source)


def _save_config(config: Config, path: Path) -> None:
    """Write the formatted configuration; a different one that is there already is kept under another name."""
    text = dump_config(config).encode()
    if path.exists():
        if path.read_bytes() == text:
            return
        number = next(n for n in range(1, 10**6) if not path.with_name(f"config.{n}.yaml").exists())
        kept = path.rename(path.with_name(f"config.{number}.yaml"))
        log.info("Kept the config.yaml that was there as %s.", kept.name)
    write_durably(path, [text])


def run(options: argparse.Namespace) -> int:
    """Run ``pyg-nnp train``."""
    config = load_config(options.config)
    seed_everything(config.Trainer.seed)
    train(config, options.out, options.profile, options.resume)
    return 0
