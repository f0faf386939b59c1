"""The command line."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from pyg_nnp.errors import UserError
from pyg_nnp.runtime.files import refuse_existing
from pyg_nnp.runtime.signals import Stopped, stoppable

USER_ERROR, INTERRUPTED = 2, 130
# files that commands write and that must not be there
NEW_FILES = {"init": ("out",), "evaluate": ("json", "csv"), "predict": ("out",)}
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


def _add_info(command: argparse.ArgumentParser) -> None:
    command.add_argument("path", type=Path, help="folder of a model or a store, or a file of a model or of data")
    _add_import(command)


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, help="folder of a trained model, such as FF01-SchNet, or a file in it")
    command.add_argument(
        "data", type=Path, nargs="?", help="data file, read as the training data were (with --part: these themselves)"
    )
    command.add_argument("--part", help="only the frames that training had for this part, such as test")
    _add_map(command)
    command.add_argument(
        "--negative-gradient", action=argparse.BooleanOptionalAction, help="whether Fa of the file holds gradients"
    )
    command.add_argument("--json", type=Path, help="write the errors as JSON")
    command.add_argument("--csv", type=Path, help="write the errors as CSV")
    _add_import(command)
    _add_cpu(command)


def _add_predict(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, help="folder of a trained model, such as FF01-SchNet, or a file in it")
    command.add_argument("structures", type=Path, help="anything that ASE reads, or a data file")
    command.add_argument("-o", "--out", type=Path, required=True, help="file to write: .extxyz, .npz or .h5")
    command.add_argument(
        "--charge", type=float, help="total charge of all structures (default: that of the file, or 0)"
    )
    _add_import(command)
    _add_cpu(command)


def _add_simulate(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", type=Path, help="the simulation, a YAML file")
    command.add_argument("-o", "--out", type=Path, default=Path("."), help="output folder (default: here)")
    command.add_argument("--resume", action="store_true", help="go on with dynamics that were stopped")
    _add_import(command)


def _add_report(command: argparse.ArgumentParser) -> None:
    command.add_argument("outs", nargs="+", type=Path, metavar="OUT", help="output folder of a training")
    command.add_argument("-o", "--out", type=Path, help="page of a comparison (default: comparison.html)")
    _add_import(command)


def _add_map(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--map",
        metavar="NAME=SOURCE",
        action="append",
        default=[],
        help="standard name and name in the file: E=energy; once for each",
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


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error means that memory is used up; on the CPU PyTorch raises a plain RuntimeError."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0, or 1 after warnings of ``check``, 2 after a user's mistake, 130 after Ctrl-C, 143 after SIGTERM.
    """
    options = parser().parse_args(arguments)
    # layers of users are modules beside their configuration
    sys.path.insert(0, str(Path.cwd()))
    try:
        with stoppable():
            for path in filter(None, (getattr(options, name) for name in NEW_FILES.get(options.command, ()))):
                refuse_existing(path)
            # it takes seconds to import, which a look at --help and a mistyped option need not
            for module in getattr(options, "modules", ()):
                import_module("pyg_nnp.layers.base").import_layers(module, f"--import {module}")
            status: int = import_module(f"pyg_nnp.commands.{options.command}").run(options)
            return status
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    except OSError as error:
        where = error.filename or getattr(options, "out", None) or options.command
        what = f"{where}: {error.strerror or error}"
        print(f"OSError: {what}. Look at permissions and at the space left, or choose another -o.", file=sys.stderr)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"MemoryError: out of memory. {OUT_OF_MEMORY} ({str(error).partition(chr(10))[0]})", file=sys.stderr)
    except KeyboardInterrupt as stopped:
        advice = " To go on, add --resume to the same command." if options.command == "train" else ""
        print(f"Stopped.{advice}", file=sys.stderr)
        return stopped.exit_status if isinstance(stopped, Stopped) else INTERRUPTED
    return USER_ERROR
