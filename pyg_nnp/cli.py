"""The command line."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from pyg_nnp.config import load_config
from pyg_nnp.errors import UserError
from pyg_nnp.prepare import check
from pyg_nnp.run import seed_everything, train
from pyg_nnp.signals import Stopped, stoppable

WARNED, USER_ERROR, INTERRUPTED = 1, 2, 130
OUT_OF_MEMORY = "Choose a smaller Trainer.batch_size, or smaller layers."


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    root = argparse.ArgumentParser(prog="pyg-nnp", description="Train neural network potentials.")
    root.add_argument("--version", action="version", version=version("pyg-nnp"))
    commands = root.add_subparsers(dest="command", required=True)
    train_command = commands.add_parser("train", help="train the models of a configuration")
    check_command = commands.add_parser("check", help="look for mistakes in the data of a configuration")
    for command in (train_command, check_command):
        command.add_argument("config", type=Path, help="the configuration, a YAML file")
        command.add_argument("-o", "--out", type=Path, default=Path("."), help="output folder (default: here)")
    train_command.add_argument("--profile", action="store_true", help="log where the time of an epoch goes")
    train_command.add_argument("--resume", action="store_true", help="go on with a training that was stopped")
    report_command = commands.add_parser("report", help="make the reports of trained models again, or compare runs")
    report_command.add_argument("outs", nargs="+", type=Path, metavar="OUT", help="output folder of a training")
    report_command.add_argument("-o", "--out", type=Path, help="page of a comparison (default: comparison.html)")
    return root


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
    try:
        with stoppable():
            if options.command == "report":
                # it takes matplotlib, which no other command needs
                from pyg_nnp.report.command import report

                print(*report(options.outs, options.out), sep="\n")
                return 0
            config = load_config(options.config)
            seed_everything(config.Trainer.seed)
            if options.command == "check":
                return WARNED if check(config, options.out) else 0
            train(config, options.out, options.profile, options.resume)
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return USER_ERROR
    except OSError as error:
        what = f"{error.filename or options.out}: {error.strerror or error}"
        print(f"OSError: {what}. Look at permissions and at the space left, or choose another -o.", file=sys.stderr)
        return USER_ERROR
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        print(f"MemoryError: out of memory. {OUT_OF_MEMORY} ({str(error).partition(chr(10))[0]})", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt as stopped:
        advice = f" To go on with what was saved in {options.out}: --resume." if options.command == "train" else ""
        print(f"Stopped.{advice}", file=sys.stderr)
        return stopped.exit_status if isinstance(stopped, Stopped) else INTERRUPTED
    return 0
