"""The output folder of a training: its lock, its configuration, and checks of what it contains."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyg_nnp.config import Config, dump_config
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.errors import ConfigError, TrainingError
from pyg_nnp.potential.checkpoint import BEST, LAST, read_saved
from pyg_nnp.runtime.files import locked_folder, write_durably
from pyg_nnp.training.epoch import HISTORY
from pyg_nnp.training.protocol import protocol_of, refuse_changes

log = logging.getLogger(__name__)


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


def check_resumable(config: Config, name: str, dataset: MoleculeDataset, out: Path) -> None:
    """Refuse to resume another training than the one that was stopped.

    Raises:
        ConfigError: its protocol is another one.
        DataError: what was saved is damaged.
    """
    last = out / config.folder_name(name) / LAST
    if config.Trainer.resume and last.exists():
        saved = read_saved(last)[0].get("training", {}).get("protocol")
        if saved is not None:
            refuse_changes(saved, protocol_of(config, name, dataset), last, config.source)


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
