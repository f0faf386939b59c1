"""The command line."""

import argparse
import io
import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pyg_nnp.errors import UserError
from pyg_nnp.runtime.files import refuse_existing
from pyg_nnp.runtime.launch import Launch, launched
from pyg_nnp.runtime.signals import Stopped, stoppable

USER_ERROR, INTERRUPTED = 2, 130
# files that commands write and that must not be there
NEW_FILES = {"init": ("out",), "evaluate": ("json", "csv"), "predict": ("out",), "export": ("out",)}
# commands that several processes can share
SHARED = "train", "evaluate", "predict"
OUT_OF_MEMORY = "Choose a smaller Trainer.batch_size, or smaller layers."


def _shared(*names: str, **settings: Any) -> argparse.ArgumentParser:
    """Return a parser of one argument, which several commands have."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(*names, **settings)
    return parent


_CONFIG = _shared("config", type=Path, help="the configuration, a YAML file")
_OUT = _shared("-o", "--out", type=Path, default=Path("."), help="output folder (default: here)")
_MODEL = _shared("model", type=Path, help="folder of a trained model, such as FF01-SchNet, or a file in it")
_DTYPE = _shared("--dtype", choices=("float32", "float64"), help="precision (default: that of the training)")
_MAP = _shared(
    "--map",
    metavar="NAME=SOURCE",
    action="append",
    default=[],
    help="standard name and name in the file: E=energy; E= if it has none; once for each",
)
_IMPORT = _shared(
    "--import",
    dest="modules",
    metavar="MODULE",
    action="append",
    default=[],
    help="module of your own that the model's layers are from; loading a model imports none by itself",
)
_UNITS = _shared(
    "--units",
    metavar="ENERGY,LENGTH",
    help="units of the file, such as eV,Angstrom, or training for those of the training data (default: what the file "
    "says, else those of the training data in the same format, else eV,Angstrom for what ASE reads)",
)
_CPU = _shared("--cpu", action="store_true", help="do not use a GPU")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    root = argparse.ArgumentParser(prog="pyg-nnp", description="Train neural network potentials, and use them.")
    root.add_argument("--version", action="version", version=version("pyg-nnp"))
    commands = root.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", parents=[_CONFIG, _OUT], help="train the models of a configuration")
    train.add_argument("--profile", action="store_true", help="log where the time of an epoch goes")
    train.add_argument("--resume", action="store_true", help="go on with a training that was stopped")
    commands.add_parser("check", parents=[_CONFIG, _OUT], help="look for mistakes in the data of a configuration")
    init = commands.add_parser("init", parents=[_MAP], help="write a configuration for a data file")
    init.add_argument("data", type=Path, nargs="+", help="data file, or several that are one data set")
    text = "the core of the model: Cartesian (default), PaiNN or SchNet"
    init.add_argument("--architecture", help=text)
    text = "how long to train, by the clock (default: 10 minutes; SchNet: 100 epochs)"
    init.add_argument("--minutes", type=float, help=text)
    init.add_argument("-o", "--out", type=Path, default=Path("train.yaml"), help="file to write (default: train.yaml)")
    info = commands.add_parser("info", parents=[_IMPORT], help="say what is in a model, a data file or a store")
    info.add_argument("path", type=Path, help="folder of a model or a store, or a file of a model or of data")
    evaluate = commands.add_parser(
        "evaluate", parents=[_MODEL, _MAP, _IMPORT, _UNITS, _CPU], help="errors of a trained model on a data file"
    )
    _add_evaluate(evaluate)
    predict = commands.add_parser(
        "predict", parents=[_MODEL, _IMPORT, _UNITS, _CPU], help="energies, forces, charges, dipoles of structures"
    )
    predict.add_argument("structures", type=Path, nargs="+", help="what ASE reads, or data files of one format")
    predict.add_argument("-o", "--out", type=Path, required=True, help="file to write: .extxyz, .npz or .h5")
    charge = "total charge of all structures (default: that of the file, or 0)"
    predict.add_argument("--charge", type=float, help=charge)
    text = "optimise, run dynamics, scan or find a path, with ASE"
    simulate = commands.add_parser("simulate", parents=[_OUT, _IMPORT], help=text)
    simulate.add_argument("config", type=Path, help="the simulation, a YAML file")
    simulate.add_argument("--resume", action="store_true", help="go on with dynamics that were stopped")
    _add_engines(commands)
    text = "make the reports of trained models again, or compare runs"
    report = commands.add_parser("report", parents=[_IMPORT], help=text)
    report.add_argument("outs", nargs="+", type=Path, metavar="OUT", help="output folder of a training")
    report.add_argument("-o", "--out", type=Path, help="page of a comparison (default: comparison.html)")
    return root


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    text = "data file, or several, read as the training data were (with --part: these themselves)"
    command.add_argument("data", type=Path, nargs="*", help=text)
    command.add_argument("--part", help="only the frames that training had for this part, such as test")
    command.add_argument(
        "--negative-gradient", action=argparse.BooleanOptionalAction, help="whether Fa of the file holds gradients"
    )
    command.add_argument("--json", type=Path, help="write the errors as JSON")
    command.add_argument("--csv", type=Path, help="write the errors as CSV")


def _add_engines(commands: Any) -> None:
    """Add what other simulation engines are for."""
    text = "compute forces for i-PI, or another program that speaks the protocol of its sockets"
    serve = commands.add_parser("serve", parents=[_MODEL, _IMPORT, _DTYPE, _CPU], help=text)
    text = "elements, in the order of the other program, and total charge; anything that ASE reads"
    serve.add_argument("structure", type=Path, help=text)
    place = serve.add_mutually_exclusive_group()
    place.add_argument("--port", type=int, help="of an INET socket (default: 31415)")
    place.add_argument("--socket", default="", metavar="NAME", help="a UNIX socket instead, /tmp/ipi_NAME")
    serve.add_argument("--host", help="machine of the INET socket (default: this one)")
    serve.add_argument("--charge", type=float, help="total charge (default: that of the file, or 0)")
    serve.add_argument("--wait", type=float, default=30, help="seconds to wait for the other program (default: 30)")
    text = "write a model for the engines that read those of metatomic"
    export = commands.add_parser("export", parents=[_MODEL, _IMPORT, _DTYPE], help=text)
    export.add_argument("-o", "--out", type=Path, default=Path("model.pt"), help="file to write (default: model.pt)")
    export.add_argument("--charge", type=float, default=0.0, help="total charge of each system (default: 0)")


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error means that memory is used up; on the CPU PyTorch raises a plain RuntimeError."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def _explained(error: OSError, options: argparse.Namespace) -> str:
    """Say what could not be written, and what to do about it."""
    where = error.filename or getattr(options, "out", None) or options.command
    if hasattr(options, "out"):
        advice = "choose another -o"
    elif options.command == "evaluate" and str(where) not in (str(options.json), str(options.csv)):
        advice = "set TMPDIR to another folder: the data are kept there as long as evaluate runs"
    else:
        advice = "choose another file"
    return f"{where}: {error.strerror or error}. Look at permissions and at the space left, or {advice}."


def _is_output_closed() -> bool:
    """Return whether nothing reads the output any more, as after ``| head``; nothing is written to it then."""
    output = select.poll()
    output.register(1, 0)
    is_closed = any(event & select.POLLERR for _, event in output.poll(0))
    if is_closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return is_closed


def _joined(launch: Launch | None) -> AbstractContextManager[None]:
    """Be one of several processes, if there are several."""
    if launch is None:
        return nullcontext()
    # before PyTorch is imported: where a process is lost, it would print traces of its connections
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    joined: AbstractContextManager[None] = import_module("pyg_nnp.runtime.processes").joined(launch)
    return joined


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command: 0, 1 after warnings of ``check``, 2 after a mistake of the user, 130 or 143 after a signal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Å in ASCII, or a file name that is no text: a mark takes its place, and the command goes on
        sys.stdout.reconfigure(errors="replace")
    options, launch = parser().parse_args(arguments), launched()
    if launch and launch.number and options.command not in SHARED:
        return 0
    if "OMP_WAIT_POLICY" not in os.environ:
        # before PyTorch is imported: its threads spin for milliseconds while one waits for a processor that is busy
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # layers of users are modules beside their configuration
    sys.path.insert(0, str(Path.cwd()))
    try:
        with stoppable(), _joined(launch if options.command in SHARED else None):
            for path in filter(None, (getattr(options, name) for name in NEW_FILES.get(options.command, ()))):
                refuse_existing(path)
            # it takes seconds to import, which a look at --help and a mistyped option need not
            for module in getattr(options, "modules", ()):
                import_module("pyg_nnp.layers.registry").import_layers(module, f"--import {module}")
            if options.command != "info":  # which needs no PyTorch
                import_module("pyg_nnp.runtime.threads").take_allowed()
            status: int = import_module(f"pyg_nnp.commands.{options.command}").run(options)
            print(end="", flush=True)
            return status
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_output_closed():
            return 128 + signal.SIGPIPE  # as of programs that the signal ends
        print(f"OSError: {_explained(error, options)}", file=sys.stderr)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"MemoryError: out of memory. {OUT_OF_MEMORY} ({str(error).partition(chr(10))[0]})", file=sys.stderr)
    except KeyboardInterrupt as stopped:
        advice = " To go on, add --resume to the same command." if options.command == "train" else ""
        print(f"Stopped.{advice}", file=sys.stderr)
        return stopped.exit_status if isinstance(stopped, Stopped) else INTERRUPTED
    return USER_ERROR
