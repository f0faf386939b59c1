"""Data, options and state of a training.

The state is saved, so that a resumed run ends with the same bits as one that was never stopped.
"""

import math
import random
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from pyg_nnp.config import Trainer, Weights, fields_of
from pyg_nnp.potential.potential import Potential
from pyg_nnp.runtime import processes
from pyg_nnp.training.averages import Averages
from pyg_nnp.training.environment import environment
from pyg_nnp.training.optimizers import make_optimizer
from pyg_nnp.training.stopping import EarlyStopping, Plateau

if TYPE_CHECKING:
    from pyg_nnp.data import MoleculeDataset

_OPTIMIZER = "training.optimizer."


@dataclass(frozen=True)
class TrainingData:
    """All frames, and name -> (n,) frames of each part; ``training`` and, if it is there, ``validation`` are used."""

    dataset: "MoleculeDataset"
    parts: Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainingSettings:
    """The options of a training."""

    trainer: Trainer  # how to train
    loss: Weights  # weights of the loss
    metrics: Weights  # weights of the score
    folder: Path  # of the model: where best.safetensors, last.safetensors and history.csv go
    place: str = "configuration"  # name of the configuration in messages

    @property
    def trained_fields(self) -> list[str]:
        """The fields that the loss has a weight for."""
        return fields_of(self.loss)


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
        seconds: wall time of the epoch up to its last step, without breaks between runs [s]; nan if it is not known.
        past_seconds: that of the epochs before it.
        clock: when the epoch would have begun if there had been no breaks, as ``perf_counter`` counts [s].
        time_limit: wall time after which it ends [s].
        averages: of the parameters, or None.
        plateau: what it has done to the learning rate.
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
    past_seconds: float = 0.0
    clock: float = field(init=False)
    time_limit: float | None = None
    averages: Averages | None = None
    plateau: Plateau = field(default_factory=lambda: Plateau(None))
    order: Tensor = field(init=False)
    random: tuple[dict[str, Any], dict[str, Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        self.order, self.random = self.generator.get_state(), _random_states(self.potential.device)
        self.start_clock()

    @classmethod
    def begin(
        cls, potential: Potential, trainer: Trainer, parts: Mapping[str, Tensor], protocol: Mapping[str, Any] = {}
    ) -> "TrainingState":
        """Return the state before the first step; without a part ``validation`` nothing stops early."""
        return cls(
            potential,
            make_optimizer(potential, trainer),
            EarlyStopping(trainer.patience if "validation" in parts else None),
            torch.Generator().manual_seed(trainer.seed),
            -(-len(parts["training"]) // trainer.batch_size),
            protocol,
            time_limit=None if trainer.max_time is None else 60 * trainer.max_time,
            averages=None if trainer.ema is None else Averages(potential, trainer.ema),
            plateau=Plateau(trainer.plateau_patience if trainer.schedule == "plateau" else None),
        )

    @property
    def global_step(self) -> int:
        """Number of optimiser steps since the training began."""
        return (self.epoch - 1) * self.steps_per_epoch + self.step

    @property
    def elapsed(self) -> float:
        """Wall time of all steps and validations so far, without breaks between runs [s]."""
        return self.past_seconds + self.seconds

    @property
    def is_out_of_time(self) -> bool:
        """Whether the time limit is reached, after one step at least."""
        return self.time_limit is not None and self.elapsed >= self.time_limit and self.global_step > 0

    def is_over(self, max_epochs: int) -> bool:
        """Say whether all epochs are done, or, where there is a time limit instead, all that it was enough for."""
        return self.epoch > max_epochs if self.time_limit is None else self.is_out_of_time and self.step == 0

    def start_clock(self) -> None:
        """Let the time go on after a break."""
        self.clock = perf_counter() - self.seconds

    def agree_on_time(self) -> None:
        """Let the clock of the first of several processes count, where it ends the training."""
        if self.time_limit is not None:
            self.seconds = processes.number_of_first(self.seconds)

    def now(self) -> float:
        """Return the time on the clock of this process when it is now on that of the first one [s]."""
        here = perf_counter()
        past = processes.number_of_first(here - self.clock)
        # of an epoch that a version began which did not save it, it is not known
        return here if processes.count() == 1 or math.isnan(past) else self.clock + past

    def averaged(self) -> AbstractContextManager[None]:
        """Let the potential have the averages of its parameters, if there are any."""
        return nullcontext() if self.averages is None else self.averages.applied()

    def shuffled(self, frames: Tensor) -> Tensor:
        """Return (n,) frames in the order of the present epoch, which is the same whenever it is asked for."""
        self.generator.set_state(self.order)
        return frames[torch.randperm(len(frames), generator=self.generator)]  # (n,)

    def end_step(self, loss: float, frames: int) -> None:
        """Count an optimiser step and the mean loss of its frames."""
        if self.averages is not None:
            self.averages.update(self.global_step)
        self.seconds = perf_counter() - self.clock
        self.step += 1
        self.loss_sum += loss * frames
        self.random = _random_states(self.potential.device)

    def end_epoch(self, now: float) -> None:
        """Move to the beginning of the next epoch, which began at ``now``, as ``perf_counter`` counts [s]."""
        self.past_seconds += now - self.clock
        self.epoch, self.step, self.loss_sum, self.seconds, self.clock = self.epoch + 1, 0, 0.0, 0.0, now
        self.order, self.random = self.generator.get_state(), _random_states(self.potential.device)

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return JSON-like values and tensors of all but the parameters of the potential."""
        known, tensors = self.random
        tensors = {**tensors, "training.order": self.order}
        tensors |= self.averages.to_saved() if self.averages is not None else {}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"{_OPTIMIZER}{index}.{name}": value for name, value in values.items()}
        saved = {
            "epoch": self.epoch,
            "step": self.step,
            "loss": self.loss_sum,
            "seconds": self.seconds,
            "plateau": [self.plateau.halvings, self.plateau.waited],
            "best": {key: getattr(self.early_stopping, key) for key in ("epoch", "score", "sha256")},
            "random": known,
            "protocol": self.protocol,
            "environment": environment(self.potential.device),
        }
        if self.time_limit is not None:
            saved["past_seconds"] = self.past_seconds
        return saved, tensors

    def set_saved(self, saved: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Set all but the parameters of the potential to what :meth:`to_saved` returned.

        Raises:
            KeyError: something is missing.
            TypeError: something is of another type; likewise ValueError and RuntimeError.
        """
        self._set_optimizer(tensors)
        if self.averages is not None:
            self.averages.set_saved(tensors)
        self.epoch, self.step, self.loss_sum = saved["epoch"], saved["step"], saved["loss"]
        known = saved.get("seconds")  # older versions did not save the time of the steps of an epoch
        self.seconds = (math.nan if self.step else 0.0) if known is None else known
        self.past_seconds = saved.get("past_seconds", 0.0)
        self.plateau.halvings, self.plateau.waited = saved.get("plateau", (0, 0))
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
