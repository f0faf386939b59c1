"""Data and options of a training."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pyg_nnp.config import Trainer, Weights
from pyg_nnp.data import MoleculeDataset


@dataclass(frozen=True)
class TrainingData:
    """A data set and its split.

    Attributes:
        dataset: all frames.
        parts: name -> (n,) frames of the part; ``training`` and, where there is one, ``validation`` are used.
    """

    dataset: MoleculeDataset
    parts: Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainingSettings:
    """The options of a training.

    Attributes:
        trainer: how to train.
        loss: weights of the loss.
        metrics: weights of the score.
        folder: of the model: where ``best.safetensors``, ``last.safetensors`` and ``history.csv`` go.
        place: name of the configuration in messages.
    """

    trainer: Trainer
    loss: Weights
    metrics: Weights
    folder: Path
    place: str = "configuration"
