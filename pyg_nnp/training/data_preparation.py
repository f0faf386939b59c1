"""What comes before a training: data read, split and checked."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pyg_nnp.config import Config
from pyg_nnp.data import MoleculeDataset, split_of
from pyg_nnp.diagnostics.all_checks import run_checks
from pyg_nnp.errors import ConfigError
from pyg_nnp.functional.neighbor_search import MARGIN
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime import processes
from pyg_nnp.training.state import TrainingData

log = logging.getLogger(__name__)


def read_data(config: Config, out: Path, potentials: Mapping[str, Potential]) -> TrainingData:
    """Read the data of a configuration, split them, and say what seems to be wrong with them.

    Args:
        config: the configuration.
        out: folder that gets the processed data.
        potentials: name -> potential, of the models that are to be trained.

    Raises:
        ConfigError: something in the configuration is not right.
        DataError: something in the data is not right.
    """
    prepared: list[TrainingData] = []
    reach = (1 + MARGIN) * max(potential.reach for potential in potentials.values())

    def prepare() -> tuple[str, dict[str, Tensor]]:
        try:
            dataset = MoleculeDataset.from_config(config, out)
            data = _split(config, dataset)
        except ConfigError as error:
            raise ConfigError(f"{config.source}: {error}") from error
        dataset.find_neighbors(reach)
        run_checks(config, dataset, data.parts, potentials)
        prepared.append(data)
        return str(dataset.folder), dict(data.parts)

    if processes.count() > 1:
        log.info("%d processes train together. The first one prepares the data.", processes.count())
    folder, parts = processes.once(prepare)
    if prepared:
        return prepared[0]
    # the first process has compared and checked all of it
    dataset = MoleculeDataset.opened(config, Path(folder))
    dataset.find_neighbors(reach)
    return TrainingData(dataset, parts)


def reopen_data(config: Config, store: Path) -> TrainingData:
    """Return the data of a training from their store alone, since the data file may be gone or changed.

    Raises:
        DataError: the store is damaged.
    """
    dtype, in_memory = getattr(torch, config.Trainer.dtype), config.Datahub.in_memory
    return _split(config, MoleculeDataset(store, dtype, in_memory=in_memory))


def _split(config: Config, dataset: MoleculeDataset) -> TrainingData:
    return TrainingData(dataset, split_of(config, dataset))
