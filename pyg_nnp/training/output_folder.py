"""The output folder of a run: checks before anything is written to it, and its configuration."""

import logging
import os
from importlib.util import find_spec
from pathlib import Path

from pyg_nnp.config import Config, dump_config
from pyg_nnp.errors import ConfigError
from pyg_nnp.potential.description import BEST, LAST
from pyg_nnp.runtime.files import write_durably
from pyg_nnp.training.callbacks.tensorboard import FOLDER
from pyg_nnp.training.records import HISTORY

log = logging.getLogger(__name__)


def active_models(config: Config) -> list[str]:
    """Return the names of the models that are to be trained."""
    return [name for name, model in config.Modelhub.internal_FFs.items() if model.active]


def check_tensorboard(config: Config) -> None:
    """Refuse to log for TensorBoard where it is not installed.

    Raises:
        ConfigError: it is not.
    """
    if config.Trainer.tensorboard and find_spec("tensorboard") is None:
        raise ConfigError(
            f"{config.source}: Trainer.tensorboard: the package tensorboard is not installed. Install it with "
            "pip install 'pyg-nnp[tensorboard]', or set this to false."
        )


def check_not_trained(config: Config, name: str, out: Path) -> None:
    """Refuse to write over a potential that somebody may have waited days for.

    Raises:
        ConfigError: the folder of the model has one, or is a file.
    """
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
