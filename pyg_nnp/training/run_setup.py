"""The start of a run: its models built, its output folder checked and made, its configuration saved."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pyg_nnp.config import Config, dump_config
from pyg_nnp.errors import ConfigError, DataError, TrainingError
from pyg_nnp.potential.build import build_potential
from pyg_nnp.potential.checkpoint import BEST, LAST, start_from
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime.files import locked_folder, write_durably
from pyg_nnp.training.records import HISTORY, TENSORBOARD

log = logging.getLogger(__name__)


def active_models(config: Config) -> list[str]:
    """Return the names of the models that are to be trained."""
    return [name for name, model in config.Modelhub.internal_FFs.items() if model.active]


def initial_potentials(config: Config, out: Path) -> tuple[dict[str, Potential], list[str]]:
    """Return the potentials that are to be trained, by name, and lines for the log: where their parameters are from.

    All mistakes that can be known without data are refused.

    Raises:
        ConfigError: the configuration of a model is not right, its folder has a trained potential or is a file, or
            TensorBoard is asked for and not installed.
        FieldError: its layers do not fit together.
    """
    if config.Trainer.tensorboard and find_spec("tensorboard") is None:
        raise ConfigError(
            f"{config.source}: Trainer.tensorboard: the package tensorboard is not installed. Install it with "
            "pip install 'pyg-nnp[tensorboard]', or set this to false."
        )
    potentials, lines = {}, []
    # all of them, so that a mistake in the last one does not show after the first was trained for days
    for name in active_models(config):
        potentials[name] = build_potential(config, name)
        pretrained = config.Modelhub.internal_FFs[name].pretrained
        # a training that is resumed has its own parameters, and the other model may be gone by then
        is_resumed = config.Trainer.resume and (out / config.folder_name(name) / LAST).exists()
        if pretrained is not None and not is_resumed:
            try:
                taken, left = start_from(potentials[name], pretrained)
            except DataError as error:
                raise ConfigError(f"{config.source}: Modelhub.{name}.pretrained: {error}") from error
            rest = ", ".join(left) or "none"
            lines += [
                f"{name}: parameters taken from {pretrained}: {', '.join(taken)}.",
                f"{name}: parameters not taken, since there are none of these shapes: {rest}.",
            ]
        _check_not_trained(config, name, out)
    return potentials, lines


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


def make_folder(config: Config, out: Path) -> None:
    """Make the output folder.

    Raises:
        ConfigError: it cannot be made or written to, or something in it is a link out of it, so that what is written
            would land elsewhere, perhaps over something.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"cannot be made: {error.strerror}. Name a folder that can be written to."
        raise ConfigError(f"-o {out}: {reason}") from error
    if not os.access(out, os.W_OK):
        raise ConfigError(f"-o {out}: cannot be written to. Name another output folder.")
    models = [out / config.folder_name(name) for name in active_models(config)]
    for place in (*models, out / "logs", out / TENSORBOARD, *out.glob("processed_dataset_*")):
        target = Path(os.path.realpath(place))
        if not target.is_relative_to(os.path.realpath(out)):
            raise ConfigError(f"{place}: leads to {target}, outside of {out}. Name that folder with -o instead.")


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make the folder of a model this run's own; if nothing comes into it, it is taken away again.

    Raises:
        TrainingError: another run was quicker.
    """
    try:
        with locked_folder(folder, wait=False):
            yield
    except BlockingIOError as error:
        raise TrainingError(f"{folder} is in use by another run. Give this one another folder with -o.") from error


def save_config(config: Config, path: Path) -> None:
    """Write the formatted configuration; a different one that is there already is kept under another name."""
    text = dump_config(config).encode()
    if path.exists():
        if path.read_bytes() == text:
            return
        number = next(n for n in range(1, 10**6) if not path.with_name(f"config.{n}.yaml").exists())
        kept = path.rename(path.with_name(f"config.{number}.yaml"))
        log.info("Kept the config.yaml that was there as %s.", kept.name)
    write_durably(path, [text])
