"""Data, options and state of a training.

The state is saved, so that a resumed run ends with the same bits as one that was never stopped.
"""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from pyg_nnp.config import Trainer, Weights
from pyg_nnp.data import MoleculeDataset
from pyg_nnp.potential.potential import Potential

_OPTIMIZER = "training.optimizer."


@dataclass(frozen=True)
class TrainingData:
    """All frames, and name -> (n,) frames of each part; ``training`` and, if it is there, ``validation`` are used."""

    dataset: MoleculeDataset
    parts: Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainingSettings:
    """The options of a training."""

    trainer: Trainer  # how to train
    loss: Weights  # weights of the loss
    metrics: Weights  # weights of the score
    folder: Path  # of the model: where best.safetensors, last.safetensors and history.csv go
    place: str = "configuration"  # name of the configuration in messages


@dataclass
class EarlyStopping:
    """The best score so far and how long ago that was.

    A score that is not finite is never an improvement.
    """

    patience: int | None  # number of epochs to wait for an improvement; None: all
    score: float = math.inf  # the best one
    epoch: int = 0  # which had it; 0: none so far
    sha256: str | None = None  # digest of the file with its potential

    def update(self, score: float, epoch: int) -> bool:
        """Say whether this score is the best so far, and remember it if so."""
        better = math.isfinite(score) and score < self.score
        if better:
            self.score, self.epoch = score, epoch
        return better

    def exhausted(self, epoch: int) -> bool:
        """Say whether there was no improvement for ``patience`` epochs."""
        return self.patience is not None and epoch - self.epoch >= self.patience


@dataclass
class TrainingState:
    """All that changes while a potential is trained.

    Attributes:
        potential: on the device and in the precision to train in.
        optimizer: of its parameters.
        early_stopping: which epoch was best.
        generator: of the order of frames.
        steps_per_epoch: number of optimiser steps of an epoch.
        protocol: all of configuration and data that must be the same for a run to be resumed, as nested dicts.
        epoch: the one under way, counted from 1.
        step: number of its optimiser steps that were taken.
        loss_sum: sum of the losses of their frames.
        seconds: wall time of the epoch in runs that were interrupted [s]; nan if it is not known.
        order: state of the generator of the order of frames when the epoch began.
        random: states of the global generators after the last step; an interrupted step draws from them, too.
    """

    potential: Potential
    optimizer: Optimizer
    early_stopping: EarlyStopping
    generator: torch.Generator
    steps_per_epoch: int
    protocol: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    order: Tensor = field(init=False)
    random: tuple[dict[str, Any], dict[str, Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        self.order, self.random = self.generator.get_state(), _random_states(self.potential.device)

    @classmethod
    def begin(
        cls, potential: Potential, trainer: Trainer, parts: Mapping[str, Tensor], protocol: Mapping[str, Any] = {}
    ) -> "TrainingState":
        """Return the state before the first step, with Adam; without a part ``validation`` nothing stops early."""
        return cls(
            potential,
            Adam(potential.parameters(), lr=trainer.learning_rate, fused=True),
            EarlyStopping(trainer.patience if "validation" in parts else None),
            torch.Generator().manual_seed(trainer.seed),
            -(-len(parts["training"]) // trainer.batch_size),
            protocol,
        )

    @property
    def global_step(self) -> int:
        """Number of optimiser steps since the training began."""
        return (self.epoch - 1) * self.steps_per_epoch + self.step

    def shuffled(self, frames: Tensor) -> Tensor:
        """Return (n,) frames in the order of the present epoch, which is the same whenever it is asked for."""
        self.generator.set_state(self.order)
        return frames[torch.randperm(len(frames), generator=self.generator)]  # (n,)

    def end_step(self, loss: float, frames: int) -> None:
        """Count an optimiser step and the mean loss of its frames."""
        self.step += 1
        self.loss_sum += loss * frames
        self.random = _random_states(self.potential.device)

    def end_epoch(self) -> None:
        """Move to the beginning of the next epoch."""
        self.epoch, self.step, self.loss_sum, self.seconds = self.epoch + 1, 0, 0.0, 0.0
        self.order, self.random = self.generator.get_state(), _random_states(self.potential.device)

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return JSON-like values and tensors of all but the parameters of the potential."""
        known, tensors = self.random
        tensors = {**tensors, "training.order": self.order}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"{_OPTIMIZER}{index}.{name}": value for name, value in values.items()}
        saved = {
            "epoch": self.epoch,
            "step": self.step,
            "loss": self.loss_sum,
            "seconds": self.seconds,
            "best": {key: getattr(self.early_stopping, key) for key in ("epoch", "score", "sha256")},
            "random": known,
            "protocol": self.protocol,
            "environment": environment(self.potential.device),
        }
        return saved, tensors

    def set_saved(self, saved: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Set all but the parameters of the potential to what :meth:`to_saved` returned.

        Raises:
            KeyError: something is missing.
            TypeError: something is of another type; likewise ValueError and RuntimeError.
        """
        self._set_optimizer(tensors)
        self.epoch, self.step, self.loss_sum = saved["epoch"], saved["step"], saved["loss"]
        # older versions did not save the time of the steps of an epoch
        known = saved.get("seconds")
        self.seconds = (math.nan if self.step else 0.0) if known is None else known
        best = saved["best"]
        self.early_stopping.epoch, self.early_stopping.sha256 = best["epoch"], best.get("sha256")
        self.early_stopping.score = math.inf if best["score"] is None else best["score"]
        self.order = tensors["training.order"]
        release, numbers, gauss = saved["random"]["python"]
        random.setstate((release, tuple(numbers), gauss))
        np.random.set_state(saved["random"]["numpy"])
        torch.set_rng_state(tensors["training.random"])
        if "training.random_cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["training.random_cuda"])
        self.random = _random_states(self.potential.device)

    def _set_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith(_OPTIMIZER):
                index, _, key = name.removeprefix(_OPTIMIZER).partition(".")
                states.setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict({"state": states, "param_groups": self.optimizer.state_dict()["param_groups"]})


def _random_states(device: torch.device) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the states of the global generators, which layers of users may draw from: JSON-like, and tensors."""
    state = np.random.get_state(legacy=False)
    keys = {**state["state"], "key": state["state"]["key"].tolist()}
    known = {"python": random.getstate(), "numpy": {**state, "state": keys}}
    tensors = {"training.random": torch.get_rng_state()}
    if device.type == "cuda":
        tensors["training.random_cuda"] = torch.cuda.get_rng_state(device)
    return known, tensors


def environment(device: torch.device) -> dict[str, Any]:
    """Return device, threads and versions, which the last bits of results depend on."""
    return {
        "device": device.type,
        "threads": torch.get_num_threads(),
        "pyg-nnp": version("pyg-nnp"),
        "torch": torch.__version__,
    }


def changes(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """Yield a message for each value that changed between two nested dicts."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in {**before, **now}:
            yield from changes(before.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif before != now:
        yield f"{key} was {before} and is {now}"
