"""What the commands do, and all that they import, which the command line itself can do without."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from pyg_nnp.checkpoint import load_potential
from pyg_nnp.config import load_config
from pyg_nnp.errors import ConfigError, did_you_mean
from pyg_nnp.evaluation import csv_of, evaluate_file, json_of, table_of, trained_with
from pyg_nnp.fields import FEATURES, TARGETS
from pyg_nnp.files import write_durably, write_json
from pyg_nnp.first_config import first_config
from pyg_nnp.inspection import describe
from pyg_nnp.layers.resolve import import_layers
from pyg_nnp.logs import progress_bar, terminal_log
from pyg_nnp.prediction import predict_file
from pyg_nnp.prepare import check
from pyg_nnp.run import seed_everything, train
from pyg_nnp.simulation.run import simulate
from pyg_nnp.units import unit_names_of

WARNED = 1


def run(options: argparse.Namespace) -> int:
    """Run the command that was parsed, and return the exit status."""
    for module in getattr(options, "modules", ()):
        import_layers(module, f"--import {module}")
    return COMMANDS[options.command](options)


def _train(options: argparse.Namespace) -> int:
    config = load_config(options.config)
    seed_everything(config.Trainer.seed)
    train(config, options.out, options.profile, options.resume)
    return 0


def _check(options: argparse.Namespace) -> int:
    config = load_config(options.config)
    seed_everything(config.Trainer.seed)
    return WARNED if check(config, options.out) else 0


def _init(options: argparse.Namespace) -> int:
    text, guesses = first_config(options.data, _mapping(options.map))
    write_durably(options.out, [text.encode()])
    print(f"{options.data} seems to have:", *guesses, sep="\n  ")
    print(f"{options.out}: look at what is marked with CHECK, then: pyg-nnp check {options.out}")
    return 0


def _info(options: argparse.Namespace) -> int:
    print(describe(options.path))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    changes = {} if options.negative_gradient is None else {"negative_gradient": options.negative_gradient}
    # how the file is read is told in training
    with terminal_log(level=logging.WARNING):
        potential = load_potential(options.model, _device(options))
        if options.data is None and options.part is None:
            raise ConfigError("evaluate: on which data? Name a file, or a part of the training data: --part test.")
        data = options.data or Path(trained_with(potential)["Datahub"]["data_path"])
        rows = evaluate_file(potential, data, _mapping(options.map), changes, options.part)
    Console().print(table_of(rows, unit_names_of(potential.spec.get("build_params", {}))))
    if options.json:
        write_json(options.json, json_of(rows))
    if options.csv:
        write_durably(options.csv, [csv_of(rows)])
    return 0


def _predict(options: argparse.Namespace) -> int:
    # how many there are is not known before all are read
    columns = TextColumn("{task.completed:.0f} structures"), BarColumn(bar_width=20), TimeElapsedColumn()
    with terminal_log() as console, progress_bar(console, *columns) as bar:
        task = bar.add_task("", total=None)
        potential = load_potential(options.model, _device(options))
        structures, out, charge = options.structures, options.out, options.charge
        count = predict_file(potential, structures, out, charge, lambda done: bar.update(task, completed=done))
    print(f"{options.out}: {count} structure{'' if count == 1 else 's'}.")
    return 0


def _simulate(options: argparse.Namespace) -> int:
    return 0 if simulate(options.config, options.out, options.resume) else WARNED


def _report(options: argparse.Namespace) -> int:
    # it takes matplotlib, which no other command needs
    from pyg_nnp.report.command import report

    print(*report(options.outs, options.out), sep="\n")
    return 0


def _mapping(pairs: Sequence[str]) -> dict[str, str]:
    known = (*FEATURES, *TARGETS)
    mapping: dict[str, str] = {}
    for pair in pairs:
        name, _, source = pair.partition("=")
        if not name or not source:
            raise ConfigError(f"--map {pair}: expects NAME=SOURCE, such as E=energy.")
        if name not in known:
            near = f" Did you mean {source}={name}?" if source in known else did_you_mean(name, known)
            raise ConfigError(f"--map {pair}: {name} is no standard name.{near} Known: {', '.join(known)}.")
        if source in mapping.values():
            raise ConfigError(f"--map {pair}: {source} is mapped to another name, too. An array is one field.")
        mapping[name] = source
    return mapping


def _device(options: argparse.Namespace) -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")


COMMANDS = {
    "train": _train,
    "check": _check,
    "init": _init,
    "info": _info,
    "evaluate": _evaluate,
    "predict": _predict,
    "simulate": _simulate,
    "report": _report,
}
