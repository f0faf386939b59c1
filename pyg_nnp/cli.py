"""The command line."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from pyg_nnp.checkpoint import load_potential
from pyg_nnp.config import load_config
from pyg_nnp.errors import ConfigError, UserError, did_you_mean
from pyg_nnp.evaluation import csv_of, evaluate_file, json_of, table_of
from pyg_nnp.fields import FEATURES, TARGETS
from pyg_nnp.files import refuse_existing, write_durably, write_json
from pyg_nnp.first_config import first_config
from pyg_nnp.inspection import describe
from pyg_nnp.layers.resolve import import_layers
from pyg_nnp.logs import progress_bar, terminal_log
from pyg_nnp.prediction import predict_file
from pyg_nnp.prepare import check
from pyg_nnp.run import seed_everything, train
from pyg_nnp.signals import Stopped, stoppable
from pyg_nnp.simulation.run import simulate
from pyg_nnp.units import unit_names_of

WARNED, USER_ERROR, INTERRUPTED = 1, 2, 130
OUT_OF_MEMORY = "Choose a smaller Trainer.batch_size, or smaller layers."


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    root = argparse.ArgumentParser(prog="pyg-nnp", description="Train neural network potentials, and use them.")
    root.add_argument("--version", action="version", version=version("pyg-nnp"))
    commands = root.add_subparsers(dest="command", required=True)
    train_command = commands.add_parser("train", help="train the models of a configuration")
    check_command = commands.add_parser("check", help="look for mistakes in the data of a configuration")
    for command in (train_command, check_command):
        command.add_argument("config", type=Path, help="the configuration, a YAML file")
        command.add_argument("-o", "--out", type=Path, default=Path("."), help="output folder (default: here)")
    train_command.add_argument("--profile", action="store_true", help="log where the time of an epoch goes")
    train_command.add_argument("--resume", action="store_true", help="go on with a training that was stopped")
    train_command.set_defaults(run=_train)
    check_command.set_defaults(run=_check)
    _add_init(commands.add_parser("init", help="write a configuration for a data file"))
    _add_info(commands.add_parser("info", help="say what is in a model, a data file or a store"))
    _add_evaluate(commands.add_parser("evaluate", help="errors of a trained model on a data file"))
    _add_predict(commands.add_parser("predict", help="energies, forces, charges, dipoles of structures"))
    _add_simulate(commands.add_parser("simulate", help="optimise, run dynamics, scan or find a path, with ASE"))
    _add_report(commands.add_parser("report", help="make the reports of trained models again, or compare runs"))
    return root


def _add_init(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", type=Path, help="data file")
    command.add_argument(
        "-o", "--out", type=Path, default=Path("train.yaml"), help="file to write (default: train.yaml)"
    )
    _add_map(command)
    command.set_defaults(run=_init)


def _add_info(command: argparse.ArgumentParser) -> None:
    command.add_argument("path", type=Path, help="folder of a model or a store, or a file of a model or of data")
    _add_import(command)
    command.set_defaults(run=_info)


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, help="folder of a trained model, such as FF01-SchNet, or a file in it")
    command.add_argument("data", type=Path, help="data file, read as the training data were")
    command.add_argument("--part", help="only the frames that training had for this part, such as test")
    _add_map(command)
    command.add_argument(
        "--negative-gradient", action=argparse.BooleanOptionalAction, help="whether Fa of the file holds gradients"
    )
    command.add_argument("--json", type=Path, help="write the errors as JSON")
    command.add_argument("--csv", type=Path, help="write the errors as CSV")
    _add_import(command)
    _add_cpu(command)
    command.set_defaults(run=_evaluate)


def _add_predict(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, help="folder of a trained model, such as FF01-SchNet, or a file in it")
    command.add_argument("structures", type=Path, help="anything that ASE reads, or a data file")
    command.add_argument("-o", "--out", type=Path, required=True, help="file to write: .extxyz, .npz or .h5")
    command.add_argument(
        "--charge", type=float, help="total charge of all structures (default: that of the file, or 0)"
    )
    _add_import(command)
    _add_cpu(command)
    command.set_defaults(run=_predict)


def _add_simulate(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", type=Path, help="the simulation, a YAML file")
    command.add_argument("-o", "--out", type=Path, default=Path("."), help="output folder (default: here)")
    command.add_argument("--resume", action="store_true", help="go on with dynamics that were stopped")
    _add_import(command)
    command.set_defaults(run=_simulate)


def _add_report(command: argparse.ArgumentParser) -> None:
    command.add_argument("outs", nargs="+", type=Path, metavar="OUT", help="output folder of a training")
    command.add_argument("-o", "--out", type=Path, help="page of a comparison (default: comparison.html)")
    _add_import(command)
    command.set_defaults(run=_report)


def _add_map(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--map", metavar="NAME=SOURCE", action="append", default=[], help="standard name and name in the file: E=energy"
    )


def _add_import(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--import",
        dest="modules",
        metavar="MODULE",
        action="append",
        default=[],
        help="module of your own that the model's layers are from; loading a model imports none by itself",
    )


def _add_cpu(command: argparse.ArgumentParser) -> None:
    command.add_argument("--cpu", action="store_true", help="do not use a GPU")


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
    refuse_existing(options.out)
    text, guesses = first_config(options.data, _mapping(options.map))
    write_durably(options.out, [text.encode()])
    print(f"{options.data} seems to have:", *guesses, sep="\n  ")
    print(f"{options.out}: look at what is marked with CHECK, then: pyg-nnp check {options.out}")
    return 0


def _info(options: argparse.Namespace) -> int:
    print(describe(options.path))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    for path in filter(None, (options.json, options.csv)):
        refuse_existing(path)
    changes = {} if options.negative_gradient is None else {"negative_gradient": options.negative_gradient}
    # how the file is read is told in training
    with terminal_log(level=logging.WARNING):
        potential = load_potential(options.model, _device(options))
        rows = evaluate_file(potential, options.data, _mapping(options.map), changes, options.part)
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
    print(f"{options.out}: {count} structures.")
    return 0


def _simulate(options: argparse.Namespace) -> int:
    return 0 if simulate(options.config, options.out, options.resume) else WARNED


def _report(options: argparse.Namespace) -> int:
    # it takes matplotlib, which no other command needs
    from pyg_nnp.report.command import report

    print(*report(options.outs, options.out), sep="\n")
    return 0


def _mapping(pairs: Sequence[str]) -> dict[str, str]:
    known, mapping = (*FEATURES, *TARGETS), {}
    for pair in pairs:
        name, _, source = pair.partition("=")
        if not name or not source:
            raise ConfigError(f"--map {pair}: expects NAME=SOURCE, such as E=energy.")
        if name not in known:
            raise ConfigError(f"--map {name}: no standard name.{did_you_mean(name, known)} Known: {', '.join(known)}.")
        mapping[name] = source
    return mapping


def _device(options: argparse.Namespace) -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")


def _is_out_of_memory(error: Exception) -> bool:
    # on the CPU PyTorch raises a plain RuntimeError
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0, or 1 after warnings of ``check``, 2 after a user's mistake, 130 after Ctrl-C, 143 after SIGTERM.
    """
    options = parser().parse_args(arguments)
    # layers of users are modules beside their configuration
    sys.path.insert(0, str(Path.cwd()))
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        with stoppable():
            for module in getattr(options, "modules", ()):
                import_layers(module, f"--import {module}")
            return run(options)
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    except OSError as error:
        where = error.filename or getattr(options, "out", None) or options.command
        what = f"{where}: {error.strerror or error}"
        print(f"OSError: {what}. Look at permissions and at the space left, or choose another -o.", file=sys.stderr)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        print(f"MemoryError: out of memory. {OUT_OF_MEMORY} ({str(error).partition(chr(10))[0]})", file=sys.stderr)
    except KeyboardInterrupt as stopped:
        advice = f" To go on with what was saved in {options.out}: --resume." if options.command == "train" else ""
        print(f"Stopped.{advice}", file=sys.stderr)
        return stopped.exit_status if isinstance(stopped, Stopped) else INTERRUPTED
    return USER_ERROR
